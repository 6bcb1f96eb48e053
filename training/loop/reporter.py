"""What a run reports: the progress bar, status lines, warnings, and the records of its history."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.config import Config
from training.loop import status as statuses
from training.loop.collapse import CollapseDetector
from training.loop.engine import NUM_VALUES, means
from training.loop.history import History, Row
from training.loop.scores import Scores
from training.loop.status import Status
from training.models.step import LOSSES
from training.schedule import Timetable


class Reporter:
    """The records and the messages of a run. `restart` begins or resumes them."""

    def __init__(self, output_dir: Path, config: Config, timetable: Timetable):
        self._output_dir, self._config, self._timetable = output_dir, config, timetable

    def restart(self, step: int) -> None:
        """Resume from the records of the run up to `step`; later ones are dropped."""
        self.history = History(self._output_dir, step)
        self._detector = CollapseDetector(LOSSES[self._config.method.loss].chance)
        self._warning = ""
        for status in self.history.statuses:
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

    def report_status(self, step: int, rollbacks: int, spread: float | None = None) -> None:
        """Report the interval since the last status line, and begin another."""
        steps, kimg = step - self._first_step, self._images(step) / 1000
        steps_per_second = steps / (time.monotonic() - self._began)
        values = means(self._sums, steps)
        warning, warned = self._detector.update(kimg, values.d_loss, values.g_loss, spread), self._warning
        status = Status(
            step=step,
            epoch=step / self._config.steps_per_epoch,
            kimg=kimg,
            images_per_second=steps_per_second * self._config.method.batch_size,
            **values._asdict(),
            memory_mb=statuses.memory_mb(),
            seconds_left=(self._timetable.total_steps - step) / steps_per_second,
            spread=spread,
            rollbacks=rollbacks,
            warning=warning,
        )
        self.history.add_status(status)
        if self._bar.disable:
            print(statuses.format_line(status), flush=True)
        elif warning and warning != warned:
            tqdm.write(f"epoch {status.epoch:.2f}: {warning}")
        self._warning = warning
        self._begin_interval(step)

    def report_epoch(self, step: int, sums: np.ndarray, seconds: float, faces: np.ndarray) -> None:
        """Report the epoch that ends with `step`.

        Args:
            step: its last step.
            sums: of what its steps returned, float64 [NUM_VALUES].
            seconds: time spent on its steps.
            faces: samples, uint8 [count, height, width, channels].
        """
        losses = means(sums, self._timetable.steps_in_epoch(step))
        row = Row(
            epoch=self._timetable.epoch(step),
            step=step,
            images_seen=self._images(step),
            d_loss=losses.d_loss,
            g_loss=losses.g_loss,
            seconds=round(seconds, 3),
            warning=self._warning,
        )
        self.history.add(row)
        if self._timetable.is_sampled(step):
            self.history.add_samples(f"epoch-{row.epoch:05d}", row.images_seen, faces)
        tqdm.write(
            f"epoch {row.epoch}: {row.images_seen:,} images seen, D {row.d_loss:.4f}, G {row.g_loss:.4f}, "
            f"{row.seconds:.1f} s"
        )

    def report_scores(self, scores: Scores) -> None:
        """Report what the metrics say of the generator."""
        self.history.add_scores(scores)
        listed = ", ".join(f"{name} {value:.4g}" for name, value in scores.values.items())
        tqdm.write(f"{self._images(scores.step):,} images seen: {listed}")

    def _begin_interval(self, step: int) -> None:
        self._began, self._first_step, self._sums = time.monotonic(), step, np.zeros(NUM_VALUES)

    def _images(self, step: int) -> int:
        return step * self._config.method.batch_size
