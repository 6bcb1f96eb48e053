"""How a run is doing, as it is said at intervals: on a line, in stats.jsonl and in TensorBoard."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Status:
    """One interval of a run; losses and gradients are means over its steps."""

    step: int
    epoch: float
    kimg: float
    """Thousands of photos seen."""
    images_per_second: float
    d_loss: float
    g_loss: float
    d_gradient: float
    """L2 norm of D's gradient over all of its variables, before clipping."""
    g_gradient: float
    memory_mb: float
    """The most that was taken so far: of the GPU where there is one, else of this process."""
    seconds_left: float


def line(status: Status) -> str:
    """Say it on one line."""
    minutes, seconds = divmod(round(status.seconds_left), 60)
    return (
        f"epoch {status.epoch:.2f}, {status.kimg:,.1f} kimg, {status.images_per_second:,.0f} img/s, "
        f"D {status.d_loss:.3f}, G {status.g_loss:.3f}, gradients {status.d_gradient:.2g} and {status.g_gradient:.2g}, "
        f"{status.memory_mb:,.0f} MB, {minutes // 60}:{minutes % 60:02}:{seconds:02} left"
    )


def memory_mb() -> float:
    """The peak memory so far in MB: of the first GPU, or of this process."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
