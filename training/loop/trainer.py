"""Steps, epochs, checkpoints, stopping."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from click import ClickException
from tqdm import tqdm

from training.config import Config
from training.data.pipeline import read_images
from training.data.shards import ShardSet, are_unchanged
from training.grid import tile, write_png
from training.loop import collapse
from training.loop import status as statuses
from training.loop.checkpoints import Checkpoints
from training.loop.engine import build_on, compile_steps, feed, sample, save_generator
from training.loop.failures import failures_in_words
from training.loop.history import History, Row, Scores
from training.loop.scorer import Scorer
from training.loop.status import Status
from training.loop.strategy import Devices, self_test
from training.models.losses import LOSSES
from training.models.progress import VALUES, means

# One call into TensorFlow takes about this long: rare enough to cost nothing, often enough for the bar and for Ctrl-C.
SECONDS_PER_CALL = 0.5
MOST_STEPS_PER_CALL = 1_000

MOST_ROLLBACKS = 3
PHOTOS_TO_COMPARE = 256
"""Photos whose spread G's faces are held against: of CelebA's any 256 come within 3 percent of all."""


@dataclass(frozen=True)
class Schedule:
    """How long a run is and when it does what."""

    total_steps: int
    sample_every: int
    """Epochs between grids of samples."""
    save_minutes: float
    """Minutes between checkpoints within an epoch."""
    status_seconds: float
    """Seconds between two lines of status."""
    save_steps: int | None = None
    """Steps between checkpoints, besides those by time and by epoch."""
    score_steps: int | None = None
    """Steps between scores; None for none."""
    rollbacks: int = 0
    """How often a run whose losses are not finite may be taken back to a checkpoint."""


@dataclass
class Stop:
    """Whether a signal has asked the run to stop."""

    signal: int = 0


@dataclass(frozen=True)
class Call:
    """What one call into TensorFlow did."""

    first_step: int
    count: int
    sums: np.ndarray
    """float64 [VALUES], over its steps."""
    seconds: float

    @property
    def next_count(self) -> int:
        """How many steps the next call should take."""
        fitting = math.floor(SECONDS_PER_CALL * self.count / max(self.seconds, 1e-6))
        return max(1, min(2 * self.count, fitting, MOST_STEPS_PER_CALL))


class Interval:
    """What has happened since the last line of status."""

    def __init__(self, step: int):
        self.began, self.first_step, self.sums = time.monotonic(), step, np.zeros(VALUES)


def train(
    config: Config, shards: ShardSet, devices: Devices, schedule: Schedule, folder: Path, scorer: Scorer | None = None
) -> int:
    """Run from where the folder's newest checkpoint stands to the end.

    Returns:
        The signal that stopped the run early, with everything saved, or 0 when it reached its end.

    Raises:
        ClickException: a loss, gradient or weight is not finite, a shard is damaged, memory is short, the devices do
            not add up, or another host is gone.
    """
    with failures_in_words(devices, config):
        if devices.replicas > 1:
            self_test(devices)
        with devices.writable(folder) as written, stop_on_signal() as stop:
            return Run(config, shards, devices, schedule, folder, written, scorer).to_end(stop)


class Run:
    """One run's life. Every host has one, and all take the same decisions: by step, or by what they agreed on."""

    def __init__(
        self,
        config: Config,
        shards: ShardSet,
        devices: Devices,
        schedule: Schedule,
        folder: Path,
        written: Path,
        scorer: Scorer | None,
    ):
        """Build everything and go to where the newest checkpoint stands.

        Args:
            config: what is learnt.
            shards: the photos.
            devices: what is computed on.
            schedule: when what is done.
            folder: the run's folder, which all hosts read.
            written: where this host writes: `folder` on the first.
            scorer: judges G, where that is asked for.
        """
        self.config, self.shards, self.devices, self.schedule = config, shards, devices, schedule
        self.written, self.scorer = written, scorer
        self.replaced = False  # whether other shards have taken the place of the run's
        self.gan, self.progress = build_on(devices, config)
        self.take_steps = compile_steps(self.gan, self.progress, config, devices)
        photos = read_images(shards.first(PHOTOS_TO_COMPARE))
        self.photo_spread = max(collapse.spread(photos), 1.0)  # a grey level, where all photos are the same
        self.checkpoints = Checkpoints(folder, self.gan, self.progress, written)
        self.saved = self._restore()
        self._go_on()
        if self.saved:
            print(f"Continuing from {self.saved}: {self.step:,} of {schedule.total_steps:,} steps are done.")
            self._keep_if_best()  # the run may have died between saving and marking
        elif schedule.rollbacks:
            self.saved = self.checkpoints.save()  # something to go back to

    def to_end(self, stop: Stop) -> int:
        """Take all steps that are left; return the signal that stopped them early, or 0."""
        count = 1
        with self._new_bar() as self.bar:
            while self.step < self.schedule.total_steps:
                call = self._take(min(count, self._next_boundary() - self.step))
                # The hosts take the same decisions: any may be told to stop, and their clocks differ.
                stopped = self.devices.any_host(stop.signal > 0)
                minutes_are_over = time.monotonic() - self.saved_at > 60 * self.schedule.save_minutes
                saving = self.devices.any_host(stopped or minutes_are_over or self._at_boundary())
                count = self.devices.least(call.next_count)
                if saving:
                    self._refuse_other_photos()
                if not self._is_sound(call, saving):
                    self._go_back(call)
                    continue
                if saving:
                    self._save()
                elif time.monotonic() - self.interval.began > self.schedule.status_seconds:
                    self._say()
                if stopped:
                    return stop.signal or signal.SIGTERM  # another host was told
        write_png(self.written / "final.png", tile(sample(self.gan, self.config)))
        return 0

    # Where a run stands.

    def _restore(self) -> Path | None:
        saved, damaged = self.checkpoints.restore()
        for line in damaged:
            tqdm.write(line)
        step = int(self.progress.step.numpy())
        if not self.devices.same_on_all(step):
            raise ClickException(
                f"The hosts read checkpoints of different steps (here {step}). Wait until all of them see the same "
                "files in the run's folder, and start again."
            )
        return saved

    def _go_on(self) -> None:
        """Make everything follow from the step that the variables are of."""
        self.step = int(self.progress.step.numpy())
        self.history = History(self.written, self.step)
        self.watch = collapse.Watch(LOSSES[self.config.method.loss].chance)
        self.warning = ""
        for status in self.history.statuses:
            self.warning = self.watch.see(status.kimg, status.d_loss, status.g_loss, status.spread)
        self.iterator = feed(self.config, self.shards, self.devices, self.step)
        self.interval, self.saved_at = Interval(self.step), time.monotonic()

    def _go_back(self, call: Call) -> None:
        """Return to the newest checkpoint, with half of the learning rates."""
        rollbacks = int(self.progress.rollbacks.numpy())
        trouble = _trouble(call)
        if rollbacks >= self.schedule.rollbacks:
            raise ClickException(f"{trouble} {self._what_is_left(rollbacks)}")
        restored = self._restore()
        if restored is None:
            raise ClickException(f"{trouble} No checkpoint is whole any more: start again with another --out.")
        self.progress.rollbacks.assign(rollbacks + 1)
        self.progress.lr_scale.assign(0.5 ** (rollbacks + 1))
        # At once: a run that dies now must not begin again with the rates that failed.
        self.saved = self.checkpoints.save()
        self._go_on()
        self.bar.update(self._images() - self.bar.n)
        tqdm.write(
            f"{trouble} Taken back to {restored.name} ({rollbacks + 1} of at most {self.schedule.rollbacks} times); "
            f"the learning rates are now {0.5 ** (rollbacks + 1):g} of what they were at first."
        )

    def _what_is_left(self, rollbacks: int) -> str:
        kept = f"The last good checkpoint is {self.saved}." if self.saved else "Nothing has been saved since the start."
        settings = "--clip-norm 1, or half of --lr-g and --lr-d, with another --out"
        if rollbacks:
            return f"{kept} The run was taken back {rollbacks} times already. Try {settings}."
        return f"{kept} Try {settings}; or --on-nan rollback, which continues this one at half the rates."

    # From step to step.

    def _next_boundary(self) -> int:
        periods = (self.config.steps_per_epoch, self.schedule.save_steps, self.schedule.score_steps)
        return min(self.schedule.total_steps, *((self.step // period + 1) * period for period in periods if period))

    def _at_boundary(self) -> bool:
        return self._ends_epoch() or self._is_due(self.schedule.save_steps) or self._is_due(self.schedule.score_steps)

    def _ends_epoch(self) -> bool:
        """Whether an epoch is over, or the run is, and with it what there was of an epoch."""
        return self._is_due(self.config.steps_per_epoch)

    def _is_due(self, period: int | None) -> bool:
        return bool(period) and (self.step % period == 0 or self.step == self.schedule.total_steps)

    def _images(self) -> int:
        return self.step * self.config.method.batch_size

    def _take(self, count: int) -> Call:
        began = time.monotonic()
        sums = self.take_steps(self.iterator, tf.constant(count, tf.int64)).numpy()
        call = Call(self.step, count, sums, time.monotonic() - began)
        self.step += count
        self.progress.epoch_seconds.assign_add(call.seconds)
        self.interval.sums += sums
        d_loss, g_loss, *_ = means(sums, count)
        self.bar.set_postfix(D=f"{d_loss:.3f}", G=f"{g_loss:.3f}", refresh=False)
        self.bar.update(count * self.config.method.batch_size)
        return call

    def _is_sound(self, call: Call, saving: bool) -> bool:
        """Whether the run can go on from here: what the last update did to the weights shows in the next loss only."""
        if not np.isfinite(call.sums).all():
            return False
        return not (saving and self.devices.any_host(not self.checkpoints.finite()))

    def _refuse_other_photos(self) -> None:
        """Stop before anything is saved that other photos than the run's may have taught."""
        if self.replaced or not self.devices.any_host(not are_unchanged(self.shards)):
            return
        self.replaced = True
        folders = ", ".join(sorted({str(shard.path.parent) for shard in self.shards.shards}))
        trouble = f"The shards in {folders} have been replaced while this run trains on them."
        if not self.config.cache:
            kept = f"What was learned until {self.saved} is kept" if self.saved else "Nothing was saved yet"
            raise ClickException(
                f"{trouble} {kept}. Put the shards back and the same command continues, or train on the new ones with "
                "another --out."
            )
        tqdm.write(f"{trouble} It goes on with the photos in memory, but cannot be continued without these shards.")

    # What is said and kept.

    def _say(self, spread: float | None = None) -> None:
        """End an interval with a line of status."""
        steps, kimg = self.step - self.interval.first_step, self._images() / 1000
        steps_per_second = steps / (time.monotonic() - self.interval.began)
        d_loss, g_loss, d_gradient, g_gradient = means(self.interval.sums, steps)
        warning, warned = self.watch.see(kimg, d_loss, g_loss, spread), self.warning
        status = Status(
            step=self.step,
            epoch=self.step / self.config.steps_per_epoch,
            kimg=kimg,
            images_per_second=steps_per_second * self.config.method.batch_size,
            d_loss=d_loss,
            g_loss=g_loss,
            d_gradient=d_gradient,
            g_gradient=g_gradient,
            memory_mb=statuses.memory_mb(),
            seconds_left=(self.schedule.total_steps - self.step) / steps_per_second,
            spread=spread,
            rollbacks=int(self.progress.rollbacks.numpy()),
            warning=warning,
        )
        self.history.add_status(status)
        if self.bar.disable:
            print(statuses.line(status), flush=True)
        elif warning and warning != warned:
            tqdm.write(f"epoch {status.epoch:.2f}: {warning}")
        self.warning, self.interval = warning, Interval(self.step)

    def _save(self) -> None:
        """Record all that is known at this step, then the step itself: what comes after it is done again."""
        faces = sample(self.gan, self.config)
        self._say(collapse.spread(faces) / self.photo_spread)
        if self._ends_epoch():
            self._end_epoch(faces)
        if self._is_due(self.schedule.score_steps):
            self._score()
        save_generator(self.written / "generator.keras", self.gan)
        self.saved, self.saved_at = self.checkpoints.save(), time.monotonic()
        self._keep_if_best()

    def _end_epoch(self, faces: np.ndarray) -> None:
        steps = (self.step - 1) % self.config.steps_per_epoch + 1
        d_loss, g_loss, *_ = means(self.progress.sums.numpy(), steps)
        row = Row(
            epoch=math.ceil(self.step / self.config.steps_per_epoch),
            step=self.step,
            images_seen=self._images(),
            d_loss=d_loss,
            g_loss=g_loss,
            seconds=round(float(self.progress.epoch_seconds.numpy()), 3),
            warning=self.warning,
        )
        self.history.add(row)
        if row.epoch % self.schedule.sample_every == 0 or self.step == self.schedule.total_steps:
            self.history.add_samples(f"epoch-{row.epoch:05d}", row.images_seen, faces)
        tqdm.write(_line(row))
        if self.step % self.config.steps_per_epoch == 0:
            self.progress.sums.assign(tf.zeros(VALUES, tf.float64))
            self.progress.epoch_seconds.assign(0.0)

    def _score(self) -> None:
        """Let the first host judge G; the others wait for it where they next compute together."""
        if self.devices.host == 0:
            values = self.scorer.score(self.gan, self.config)
            self.history.add_scores(Scores(self.step, self._images() / 1000, values))
            tqdm.write(f"{self._images():,} images seen: {_listed(values)}")

    def _keep_if_best(self) -> None:
        """Keep what was just saved, or restored, where no scores are better than those of its step."""
        best = self.scorer.best(self.history.scores) if self.scorer else None
        if self.devices.any_host(best is not None and best.step == self.step):
            save_generator(self.written / "generator-best.keras", self.gan)
            self.checkpoints.mark_best(self.saved)

    def _new_bar(self) -> tqdm:
        total = self.schedule.total_steps * self.config.method.batch_size
        return tqdm(total=total, initial=self._images(), unit="img", unit_scale=True, disable=None)


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Note SIGTERM and Ctrl-C instead of dying of them; the second one kills as usual."""
    stop = Stop()

    def note(number: int, _frame: object) -> None:
        stop.signal = number
        signal.signal(number, before[number])

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _trouble(call: Call) -> str:
    d_loss, g_loss, *_ = means(call.sums, call.count)
    return (
        f"A loss, gradient or weight is no longer finite between steps {call.first_step} and "
        f"{call.first_step + call.count} (D {d_loss:.4g}, G {g_loss:.4g})."
    )


def _line(row: Row) -> str:
    losses = f"D {row.d_loss:.4f}, G {row.g_loss:.4f}"
    return f"epoch {row.epoch}: {row.images_seen:,} images seen, {losses}, {row.seconds:.1f} s"


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
