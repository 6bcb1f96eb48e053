"""What a run shows: the progress bar, status lines, warnings. What it shows it also records."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.config import Config
from training.loop.collapse import CollapseDetector
from training.loop.engine import NUM_VALUES, means
from training.loop.machine import memory_mb
from training.loop.records import Epoch, Records, Scores, Status
from training.loop.timetable import Timetable, clock
from training.models.step import LOSSES


class Reporter:
    """The messages and the records of a run. `restart` begins or resumes them."""

    def __init__(self, output_dir: Path, config: Config, timetable: Timetable):
        self._output_dir, self._config, self._timetable = output_dir, config, timetable

    def restart(self, step: int) -> None:
        """Resume from the records of the run up to `step`; later ones are dropped."""
        self.records = Records(self._output_dir, step)
        self._detector = CollapseDetector(LOSSES[self._config.method.loss].chance)
        self._warning = ""
        for status in self.records.statuses:
            self._warning = self._detector.update(status.kimg, status.d_loss, status.g_loss, status.spread)
        self._begin_interval(step)

    @contextmanager
    def progress_bar(self, step: int) -> Iterator[None]:
        """Show how far the run is, where there is a terminal."""
        total = self._images(self._timetable.total_steps)
        with tqdm(total=total, initial=self._images(step), unit="img", unit_scale=True, disable=None) as self._bar:
            yield

    def add_steps(self, step: int, count: int, sums: np.ndarray) -> None:
        """Report `count` steps that ended with `step`, and the sums of what they returned, float64 [NUM_VALUES]."""
        self._sums += sums
        losses = means(sums, count)
        self._bar.set_postfix(D=f"{losses.d_loss:.3f}", G=f"{losses.g_loss:.3f}", refresh=False)
        self.move_bar(step)

    def move_bar(self, step: int) -> None:
        """Move the progress bar to a step, forwards or backwards."""
        self._bar.update(self._images(step) - self._bar.n)

    @property
    def status_is_due(self) -> bool:
        """Whether the time for a status line has come."""
        return time.monotonic() - self._began > self._timetable.status_seconds

    def report_status(self, step: int, rollbacks: int, spread: float = math.nan) -> None:
        """Report the interval since the last status line, and begin another."""
        steps, kimg = step - self._first_step, self._images(step) / 1000
        steps_per_second = steps / (time.monotonic() - self._began)
        values = means(self._sums, steps)
        warning, warning_before = self._detector.update(kimg, values.d_loss, values.g_loss, spread), self._warning
        status = Status(
            step=step,
            epoch=step / self._config.steps_per_epoch,
            kimg=kimg,
            images_per_second=steps_per_second * self._config.method.batch_size,
            **values._asdict(),
            memory_mb=memory_mb(),
            seconds_left=(self._timetable.total_steps - step) / steps_per_second,
            spread=spread,
            rollbacks=rollbacks,
            warning=warning,
        )
        self.records.add(status)
        if self._bar.disable:
            print(format_line(status), flush=True)
        elif warning and warning != warning_before:
            tqdm.write(f"epoch {status.epoch:.2f}: {warning}")
        self._warning = warning
        self._begin_interval(step)

    def report_epoch(self, step: int, sums: np.ndarray, seconds: float, faces: np.ndarray) -> None:
        """Report the epoch that ends with `step`: the sums and seconds of its steps, and samples of faces."""
        losses = means(sums, self._timetable.steps_in_epoch(step))
        epoch = Epoch(
            epoch=self._timetable.epoch(step),
            step=step,
            images_seen=self._images(step),
            d_loss=losses.d_loss,
            g_loss=losses.g_loss,
            seconds=round(seconds, 3),
            warning=self._warning,
            augment_probability=losses.augment_probability,
        )
        self.records.add(epoch)
        if self._timetable.is_sampled(step):
            self.records.add_samples(epoch, faces)
        tqdm.write(
            f"epoch {epoch.epoch}: {epoch.images_seen:,} images seen, D {epoch.d_loss:.4f}, G {epoch.g_loss:.4f}, "
            f"{epoch.seconds:.1f} s"
        )

    def report_scores(self, step: int, values: dict[str, float]) -> None:
        """Report the metrics of the generator; `values` is that of `Scores`."""
        self.records.add(Scores(step, self._images(step) / 1000, values))
        listed = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        tqdm.write(f"{self._images(step):,} images seen: {listed}")

    def _begin_interval(self, step: int) -> None:
        self._began, self._first_step, self._sums = time.monotonic(), step, np.zeros(NUM_VALUES)

    def _images(self, step: int) -> int:
        return step * self._config.method.batch_size


def format_line(status: Status) -> str:
    """Return the status line."""
    parts = [
        f"epoch {status.epoch:.2f}",
        f"{_figure(status.kimg)} kimg",
        f"{_figure(status.images_per_second)} img/s",
        f"D {status.d_loss:.3f}",
        f"G {status.g_loss:.3f}",
        f"gradients {status.d_gradient:.2g} and {status.g_gradient:.2g}",
        f"{status.memory_mb:,.0f} MB",
        f"{clock(status.seconds_left)} left",
        *([f"{status.rollbacks} rollbacks"] if status.rollbacks else []),
        *([status.warning] if status.warning else []),
    ]
    return ", ".join(parts)


def _figure(value: float) -> str:
    """Three digits at least: large networks on small machines take less than one photo a second."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
