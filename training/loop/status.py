"""How a run is doing, as it is said at intervals: on a line, in stats.jsonl and in TensorBoard."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Status:
    """One interval of a run; losses and gradients are means over its updates."""

    step: int
    epoch: float
    kimg: float
    """Thousands of photos seen."""
    images_per_second: float
    d_loss: float
    g_loss: float
    """NaN where no step of the interval updated G."""
    d_gradient: float
    """L2 norm of D's gradient over all of its variables, before clipping."""
    g_gradient: float
    memory_mb: float
    """The most that was taken so far: of the GPU where there is one, else of this process."""
    seconds_left: float
    spread: float | None = None
    """How far G's faces differ from each other, as a part of how far photos do; None where it was not looked at."""
    rollbacks: int = 0
    """How often the run was taken back to a checkpoint so far."""
    warning: str = ""


def line(status: Status) -> str:
    """Say it on one line."""
    minutes, seconds = divmod(round(status.seconds_left), 60)
    parts = [
        f"epoch {status.epoch:.2f}",
        f"{_figure(status.kimg)} kimg",
        f"{_figure(status.images_per_second)} img/s",
        f"D {status.d_loss:.3f}",
        f"G {status.g_loss:.3f}",
        f"gradients {status.d_gradient:.2g} and {status.g_gradient:.2g}",
        f"{status.memory_mb:,.0f} MB",
        f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left",
        *([f"taken back {status.rollbacks}x"] if status.rollbacks else []),
        *([status.warning] if status.warning else []),
    ]
    return ", ".join(parts)


def _figure(value: float) -> str:
    """Three digits at least: large networks on small machines see less than one photo a second."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def memory_mb() -> float:
    """The peak memory so far in MB: of the first GPU, or of this process."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
