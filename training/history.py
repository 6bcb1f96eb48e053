"""What a run leaves to be looked at: history.csv, TensorBoard, grids of samples, the loss curve."""

from __future__ import annotations

import csv
import io
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from training.files import replacing, write_text
from training.grid import tile, to_pixels, write_png
from training.status import Status


@dataclass(frozen=True)
class Row:
    """One epoch: a line of history.csv."""

    epoch: int
    """The epoch that ended, counted from 1; for a run that ends within an epoch, that epoch."""
    step: int
    images_seen: int
    d_loss: float
    """Mean over the epoch."""
    g_loss: float
    """Mean over the epoch."""
    seconds: float
    """Time spent on the epoch's steps."""


class History:
    """The records of the run in one folder."""

    def __init__(self, folder: Path, steps_done: int):
        """Open a run's records; rows after `steps_done` belong to work that is done again, and are dropped."""
        self._folder = folder
        (folder / "samples").mkdir(exist_ok=True)
        self.rows = [row for row in _read(folder / "history.csv") if row.step <= steps_done]
        for leftover in folder.rglob(".partial-*"):  # of a run that was killed while it wrote
            leftover.unlink()
        _drop_lines_after(folder / "stats.jsonl", steps_done)
        self._tensorboard = tf.summary.create_file_writer(str(folder / "tensorboard"))

    def add(self, row: Row) -> None:
        """Record the end of an epoch. A row of the same step is replaced."""
        self.rows = [*(old for old in self.rows if old.step != row.step), row]
        write_text(self._folder / "history.csv", _to_csv(self.rows))
        _draw_losses(self._folder / "losses.png", self.rows)
        with self._tensorboard.as_default(step=row.images_seen):
            tf.summary.scalar("loss/discriminator", row.d_loss)
            tf.summary.scalar("loss/generator", row.g_loss)
            self._tensorboard.flush()

    def add_status(self, status: Status) -> None:
        """Record an interval: a line of stats.jsonl, and scalars."""
        values = asdict(status)
        with (self._folder / "stats.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
        step = round(values.pop("kimg") * 1000)
        with self._tensorboard.as_default(step=step):
            for name in ("d_gradient", "g_gradient", "images_per_second", "memory_mb"):
                tf.summary.scalar(f"status/{name}", values[name])

    def add_samples(self, name: str, step: int, faces: np.ndarray) -> Path:
        """Record a grid of faces, float [count, height, width, channels] in [0, 1], on disk and in TensorBoard."""
        path = self._folder / "samples" / f"{name}.png"
        picture = tile(to_pixels(faces))
        write_png(path, picture)
        with self._tensorboard.as_default():
            tf.summary.image("samples", picture[None], step=step)
        return path


def _to_csv(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def _read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    kinds = {"epoch": int, "step": int, "images_seen": int, "d_loss": float, "g_loss": float, "seconds": float}
    with path.open(encoding="utf-8", newline="") as file:
        return [Row(**{name: kinds[name](value) for name, value in line.items()}) for line in csv.DictReader(file)]


def _drop_lines_after(path: Path, steps_done: int) -> None:
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        with suppress(ValueError):  # a run that was killed while it wrote leaves half a line
            if json.loads(line)["step"] <= steps_done:
                kept.append(line)
    write_text(path, "".join(kept))


def _draw_losses(path: Path, rows: list[Row]) -> None:
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot(xlabel="images seen (thousands)", ylabel="loss, mean over the epoch")
    seen = [row.images_seen / 1000 for row in rows]
    axes.plot(seen, [row.d_loss for row in rows], marker=".", label="discriminator")
    axes.plot(seen, [row.g_loss for row in rows], marker=".", label="generator")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as partial:
        figure.savefig(partial, dpi=100)
