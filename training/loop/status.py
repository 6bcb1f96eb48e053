"""The status of a run, reported at intervals: on a line, in stats.jsonl and in TensorBoard."""

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
    """Peak so far: of the GPU where there is one, else of this process."""
    seconds_left: float
    spread: float | None = None
    """Spread of generated faces over that of photos; None where it was not measured."""
    rollbacks: int = 0
    """How often the run returned to a checkpoint so far."""
    warning: str = ""


def format_line(status: Status) -> str:
    """Return the status line."""
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
        *([f"{status.rollbacks} rollbacks"] if status.rollbacks else []),
        *([status.warning] if status.warning else []),
    ]
    return ", ".join(parts)


def _figure(value: float) -> str:
    """Three digits at least: large networks on small machines take less than one photo a second."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def memory_mb() -> float:
    """Return the peak memory so far in MB: of the first GPU, or of this process."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
