"""The records of a run: history.csv, stats.jsonl, metrics.csv, TensorBoard, samples, the loss curve."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib import style
from matplotlib.figure import Figure

from system.files import PARTIAL, remove, replacing, write_text
from training.draw import tile, write_png
from training.loop.scores import Scores
from training.loop.status import Status


@dataclass(frozen=True)
class Row:
    """One epoch: a line of history.csv."""

    epoch: int
    """Counted from 1; the last may be a part of an epoch."""
    step: int
    images_seen: int
    d_loss: float
    """Mean over the epoch."""
    g_loss: float
    """Mean over the epoch."""
    seconds: float
    """Time spent on the epoch's steps."""
    warning: str = ""
    """The warning of the status line at the end of the epoch."""


class History:
    """The records of the run in one folder."""

    def __init__(self, folder: Path, steps_done: int):
        """Open a run's records; those of steps after `steps_done`, which are done again, are dropped."""
        self._folder = folder
        (folder / "samples").mkdir(exist_ok=True)
        for leftover in list(folder.rglob(PARTIAL)):  # of a run that was killed while it wrote
            remove(leftover)
        self.rows = [row for row in _read_rows(folder / "history.csv") if row.step <= steps_done]
        self.scores = [scores for scores in _read_scores(folder / "metrics.csv") if scores.step <= steps_done]
        self.statuses = [status for status in _read_statuses(folder / "stats.jsonl") if status.step <= steps_done]
        """Those of before; new ones go to the disk alone."""
        self._write_rows()
        self._write_scores()
        self._write_statuses()
        self._tensorboard = tf.summary.create_file_writer(str(folder / "tensorboard"))

    def add(self, row: Row) -> None:
        """Record the end of an epoch. The row of a part of the same epoch is replaced."""
        self.rows = [*(old for old in self.rows if old.epoch != row.epoch), row]
        self._write_rows()
        _draw_losses(self._folder / "losses.png", self.rows)
        with self._tensorboard.as_default(step=row.images_seen):
            tf.summary.scalar("loss/discriminator", row.d_loss)
            tf.summary.scalar("loss/generator", row.g_loss)

    def add_scores(self, scores: Scores) -> None:
        """Record scores. Those of the same step are replaced."""
        self.scores = [*(old for old in self.scores if old.step != scores.step), scores]
        self._write_scores()
        with self._tensorboard.as_default(step=round(scores.kimg * 1000)):
            for name, value in scores.values.items():
                tf.summary.scalar(f"metrics/{name}", value)

    def add_status(self, status: Status) -> None:
        """Record an interval: a line of stats.jsonl, and scalars."""
        with (self._folder / "stats.jsonl").open("a", encoding="utf-8") as file:
            file.write(_to_json(status))
        values = asdict(status)
        with self._tensorboard.as_default(step=round(status.kimg * 1000)):
            for name in ("d_gradient", "g_gradient", "images_per_second", "memory_mb", "spread", "rollbacks"):
                if values[name] is not None:
                    tf.summary.scalar(f"status/{name}", values[name])

    def add_samples(self, name: str, step: int, faces: np.ndarray) -> Path:
        """Record a grid of faces, uint8 [count, height, width, channels], on disk and in TensorBoard."""
        path = self._folder / "samples" / f"{name}.png"
        picture = tile(faces)
        write_png(path, picture)
        with self._tensorboard.as_default():
            tf.summary.image("samples", picture[None], step=step)
        return path

    def _write_rows(self) -> None:
        if self.rows or (self._folder / "history.csv").exists():
            names = [field.name for field in fields(Row)]
            write_text(self._folder / "history.csv", _to_csv(names, map(asdict, self.rows)))

    def _write_scores(self) -> None:
        if self.scores or (self._folder / "metrics.csv").exists():
            # A continued run may have other metrics than before: a column for each, empty where one was not computed.
            metrics = dict.fromkeys(name for scores in self.scores for name in scores.values)
            lines = ({"step": scores.step, "kimg": scores.kimg, **scores.values} for scores in self.scores)
            write_text(self._folder / "metrics.csv", _to_csv(["step", "kimg", *metrics], lines))

    def _write_statuses(self) -> None:
        if self.statuses or (self._folder / "stats.jsonl").exists():
            write_text(self._folder / "stats.jsonl", "".join(map(_to_json, self.statuses)))


def _to_csv(names: list[str], lines: Iterable[dict[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _to_json(status: Status) -> str:
    # JSON has no NaN, the loss of G where G was not updated.
    values = {name: None if _is_nan(value) else value for name, value in asdict(status).items()}
    return json.dumps(values) + "\n"


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _read_csv(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _read_rows(path: Path) -> list[Row]:
    kinds = {"epoch": int, "step": int, "images_seen": int, "warning": str}
    names = {field.name for field in fields(Row)}
    return [
        Row(**{name: kinds.get(name, float)(value) for name, value in line.items() if name in names})
        for line in _read_csv(path)
    ]


def _read_scores(path: Path) -> list[Scores]:
    found = []
    for line in _read_csv(path):
        step, kimg = int(line.pop("step")), float(line.pop("kimg"))
        found.append(Scores(step, kimg, {name: float(text) for name, text in line.items() if text}))
    return found


def _read_statuses(path: Path) -> list[Status]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with suppress(ValueError):  # a run that was killed while it wrote leaves half a line
            values = json.loads(line)
            known = {field.name: values[field.name] for field in fields(Status) if field.name in values}
            missing = {name: math.nan for name in ("g_loss", "g_gradient") if known[name] is None}
            found.append(Status(**{**known, **missing}))
    return found


@style.context("default")  # whatever the user's matplotlibrc says
def _draw_losses(path: Path, rows: list[Row]) -> None:
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot(xlabel="images seen (thousands)", ylabel="loss, mean over the epoch")
    seen = [row.images_seen / 1000 for row in rows]
    axes.plot(seen, [row.d_loss for row in rows], marker=".", label="discriminator")
    axes.plot(seen, [row.g_loss for row in rows], marker=".", label="generator")
    if axes.dataLim.ymin >= 0:  # a Wasserstein loss may lie below
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as partial:
        figure.savefig(partial, dpi=100)
