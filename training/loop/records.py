"""The records of a run: one log that grows line by line, stats.jsonl, and views of it.

Each line is an event: the status of an interval, the end of an epoch, or scores. history.csv, losses.png, metrics.csv
and TensorBoard's files show the same, and are written again when a run continues.
"""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from click import UsageError
from matplotlib import style
from matplotlib.figure import Figure
from tensorflow.compat.v1 import Event as BoardEvent
from tensorflow.compat.v1 import Summary

from system.files import PARTIAL, append_text, parsed_json, remove, replacing, write_text
from training.draw import tile, write_png
from training.metrics import HELD_OUT, METRICS

LOG = "stats.jsonl"


@dataclass(frozen=True)
class Status:
    """One interval of a run; losses and gradients are means over its updates."""

    step: int
    epoch: float
    kimg: float  # thousands of photos seen
    images_per_second: float
    d_loss: float
    g_loss: float  # NaN where no step of the interval updated G
    d_gradient: float  # L2 norm of D's gradient over all of its variables, before clipping
    g_gradient: float
    memory_mb: float  # peak so far: of the GPU where there is one, else of this process
    seconds_left: float
    spread: float  # spread of generated faces over that of photos; NaN where it was not measured
    rollbacks: int  # how often the run returned to a checkpoint so far
    warning: str
    augment_probability: float = 0.0  # mean over the interval


@dataclass(frozen=True)
class Epoch:
    """The end of an epoch, or of the part of one with which the run ends: a line of history.csv."""

    epoch: int  # counted from 1
    step: int
    images_seen: int
    d_loss: float  # mean over the epoch
    g_loss: float  # mean over the epoch; NaN where no step updated G
    seconds: float  # time spent on the epoch's steps
    warning: str  # the warning of the status at the end of the epoch
    augment_probability: float = 0.0  # mean over the epoch; 0 without augmentations

    @property
    def kimg(self) -> float:
        """Thousands of photos seen."""
        return self.images_seen / 1000


@dataclass(frozen=True)
class Scores:
    """The metrics of the generator at one step: a line of metrics.csv."""

    step: int
    kimg: float  # thousands of photos seen
    # By the metric's name; NAME_held_out is the same metric against held-out photos. Where the first falls and the
    # second does not, photos are being memorised.
    values: dict[str, float]


Event = Status | Epoch | Scores
_KINDS = {"status": Status, "epoch": Epoch, "scores": Scores}


class Records:
    """The records in one run's folder."""

    def __init__(self, folder: Path, steps_done: int):
        """Open a run's records; those of steps after `steps_done`, which are done again, are dropped."""
        self._folder = folder
        (folder / "samples").mkdir(exist_ok=True)
        for leftover in list(folder.rglob(PARTIAL)):  # of a run that was killed while it wrote
            remove(leftover)
        log = folder / LOG
        self.events = [event for event in _read(log) if event.step <= steps_done]
        if log.exists():
            write_text(log, "".join(map(_line, self.events)))
        self._tensorboard = _open_tensorboard(folder / "tensorboard")
        for event in self.events:
            self._show(event)
            if isinstance(event, Epoch) and self._samples(event).exists():
                self._show_samples(event)
        self._tensorboard.flush()
        self._write_history()
        self._write_metrics()

    @property
    def statuses(self) -> list[Status]:
        """All statuses."""
        return [event for event in self.events if isinstance(event, Status)]

    @property
    def epochs(self) -> list[Epoch]:
        """The epochs; of one that a continued run has completed, the whole."""
        return list({event.epoch: event for event in self.events if isinstance(event, Epoch)}.values())

    @property
    def scores(self) -> list[Scores]:
        """All scores."""
        return [event for event in self.events if isinstance(event, Scores)]

    def add(self, event: Event) -> None:
        """Record an event: a line of the log, then the views."""
        append_text(self._folder / LOG, _line(event))
        self.events.append(event)
        self._show(event)
        self._tensorboard.flush()
        if isinstance(event, Epoch):
            self._write_history()
        elif isinstance(event, Scores):
            self._write_metrics()

    def add_samples(self, epoch: Epoch, faces: np.ndarray) -> None:
        """Record the faces of an epoch's end as a grid; uint8 [count, height, width, channels]."""
        write_png(self._samples(epoch), tile(faces))
        self._show_samples(epoch)
        self._tensorboard.flush()

    def _show(self, event: Event) -> None:
        scalars = {name: value for name, value in _scalars(event).items() if not math.isnan(value)}
        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._tensorboard.write(_board_event(round(event.kimg * 1000), values))

    def _show_samples(self, epoch: Epoch) -> None:
        image = Summary.Image(encoded_image_string=self._samples(epoch).read_bytes())
        self._tensorboard.write(_board_event(epoch.images_seen, [Summary.Value(tag="samples", image=image)]))

    def _samples(self, epoch: Epoch) -> Path:
        return self._folder / "samples" / f"epoch-{epoch.epoch:05d}.png"

    def _write_history(self) -> None:
        _write_csv(self._folder / "history.csv", [asdict(epoch) for epoch in self.epochs])
        if self.epochs:
            _draw_losses(self._folder / "losses.png", self.epochs)

    def _write_metrics(self) -> None:
        lines = [{"step": scores.step, "kimg": scores.kimg, **scores.values} for scores in self.scores]
        _write_csv(self._folder / "metrics.csv", lines)


def best(scores: Sequence[Scores], metric: str) -> Scores | None:
    """Return the first of the scores that none surpasses in this metric; None where none has the metric.

    The figures against held-out photos count where the newest scores have them: a generator that copies training photos
    would win against these.
    """
    sign = 1.0 if METRICS[metric].lower_is_better else -1.0
    held_out = f"{metric}_{HELD_OUT}"
    figure = held_out if scores and held_out in scores[-1].values else metric
    scored = [entry for entry in scores if math.isfinite(entry.values.get(figure, math.nan))]
    return min(scored, key=lambda entry: sign * entry.values[figure], default=None)


def _line(event: Event) -> str:
    kind = next(name for name, kind in _KINDS.items() if isinstance(event, kind))
    text = json.dumps({"event": kind, **asdict(event)})
    return json.dumps(json.loads(text, parse_constant=lambda name: None)) + "\n"  # JSON has no NaN: null


def _read(log: Path) -> list[Event]:
    """Return the events of a log, but for a last line that a killed run has not finished.

    Raises UsageError where another line is not an event of this version.
    """
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else []
    events: list[Event] = []
    for number, line in enumerate(lines, 1):
        try:
            values = parsed_json(line, object_hook=_with_nan)
            events.append(_KINDS[values.pop("event")](**values))
        except (ValueError, KeyError, TypeError, AttributeError):
            if number < len(lines) or line.endswith("\n"):
                raise UsageError(f"{log}, line {number}: this is no event of a run. Choose another --out.") from None
    return events


def _with_nan(read: dict[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in read.items()}


def _scalars(event: Event) -> dict[str, float]:
    """Return what TensorBoard shows of an event."""
    if isinstance(event, Epoch):
        return {"loss/discriminator": event.d_loss, "loss/generator": event.g_loss}
    if isinstance(event, Scores):
        return {f"metrics/{name}": value for name, value in event.values.items()}
    names = ("d_gradient", "g_gradient", "images_per_second", "memory_mb", "spread", "rollbacks", "augment_probability")
    return {f"status/{name}": getattr(event, name) for name in names}


def _open_tensorboard(folder: Path) -> tf.io.TFRecordWriter:
    """Open a new file for TensorBoard in place of those before: tf.summary takes 1 ms a scalar."""
    folder.mkdir(exist_ok=True)
    for file in folder.glob("events.*"):
        file.unlink()
    writer = tf.io.TFRecordWriter(str(folder / f"events.out.tfevents.{time.time_ns()}"))
    writer.write(BoardEvent(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
    return writer


def _board_event(step: int, values: list[Summary.Value]) -> bytes:
    return BoardEvent(wall_time=time.time(), step=step, summary=Summary(value=values)).SerializeToString()


def _write_csv(path: Path, lines: Sequence[Mapping[str, object]]) -> None:
    """Write a table; a line need not have all columns, since a continued run may have other metrics than before."""
    if not lines:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, dict.fromkeys(name for line in lines for name in line), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_text(path, text.getvalue())


@style.context("default")  # whatever the user's matplotlibrc says
def _draw_losses(path: Path, epochs: list[Epoch]) -> None:
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot(xlabel="images seen (thousands)", ylabel="loss, mean over the epoch")
    seen = [epoch.kimg for epoch in epochs]
    axes.plot(seen, [epoch.d_loss for epoch in epochs], marker=".", label="discriminator")
    axes.plot(seen, [epoch.g_loss for epoch in epochs], marker=".", label="generator")
    if axes.dataLim.ymin >= 0:  # a Wasserstein loss may lie below
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as partial:
        figure.savefig(partial, dpi=100)
