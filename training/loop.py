"""Steps, epochs, checkpoints, stopping."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from click import ClickException
from tqdm import tqdm

from training import status as statuses
from training.checkpoints import Checkpoints, Progress
from training.config import Config
from training.files import replacing
from training.grid import tile, to_pixels, write_png
from training.history import History, Row
from training.noise import Purpose, latent
from training.pipeline import batches
from training.shards import ShardSet
from training.status import Status
from training.step import Pair, build, replica_step
from training.strategy import Devices, self_test

# One call into TensorFlow takes about this long: rare enough to cost nothing, often enough for the bar and for Ctrl-C.
SECONDS_PER_CALL = 0.5
MOST_STEPS_PER_CALL = 1_000
SAMPLES = 64


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


@dataclass
class Stop:
    """Whether a signal has asked the run to stop."""

    signal: int = 0


class Interval:
    """What has happened since the last line of status."""

    def __init__(self, step: int):
        self.began, self.first_step, self.sums = time.monotonic(), step, np.zeros(4)

    def status(self, config: Config, step: int, total_steps: int) -> Status:
        """Sum it up."""
        steps_per_second = (step - self.first_step) / (time.monotonic() - self.began)
        d_loss, g_loss, d_gradient, g_gradient = (self.sums / (step - self.first_step)).tolist()
        return Status(
            step=step,
            epoch=step / config.steps_per_epoch,
            kimg=step * config.method.batch_size / 1000,
            images_per_second=steps_per_second * config.method.batch_size,
            d_loss=d_loss,
            g_loss=g_loss,
            d_gradient=d_gradient,
            g_gradient=g_gradient,
            memory_mb=statuses.memory_mb(),
            seconds_left=(total_steps - step) / steps_per_second,
        )


# What a collective operation ends with on the other hosts, within some ten seconds of a host's death.
_HOST_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError)


@contextmanager
def _failures_in_words(devices: Devices, config: Config) -> Iterator[None]:
    """Turn what TensorFlow raises for trouble that is not ours into one message."""
    try:
        yield
    except tf.errors.DataLossError as error:
        raise ClickException(
            f"A shard is damaged ({error.message}). Find it with: python -m preprocess.verify FOLDER"
        ) from None
    except OSError as error:
        raise ClickException(
            _cannot_write(error.filename or "to the run's folder", error.strerror or str(error))
        ) from None
    except tf.errors.ResourceExhaustedError as error:
        if "No space left" in error.message:
            raise ClickException(_cannot_write("a checkpoint", "no space is left on the disk")) from None
        half = max(config.method.batch_size // 2, devices.replicas)
        raise ClickException(
            f"Out of memory with a batch of {config.method.batch_size} over {devices.replicas} devices "
            f"({error.message.splitlines()[0][:200]}). Try --batch-size {half}."
        ) from None
    except _HOST_LOST as error:
        if devices.hosts == 1:
            raise
        raise ClickException(
            f"Another host is gone ({error.message.splitlines()[0][:200]}). "
            "Start the same command on all hosts again: the run continues from its newest checkpoint."
        ) from None


def train(config: Config, shards: ShardSet, devices: Devices, schedule: Schedule, folder: Path) -> int:
    """Run from where the folder's newest checkpoint stands to the end.

    Returns:
        The signal that stopped the run early, with everything saved, or 0 when it reached its end.

    Raises:
        ClickException: a loss or gradient is not finite, a shard is damaged, memory is short, the devices do not add
            up, or another host is gone.
    """
    with _failures_in_words(devices, config):
        return _train(config, shards, devices, schedule, folder)


def _train(config: Config, shards: ShardSet, devices: Devices, schedule: Schedule, folder: Path) -> int:
    if devices.replicas > 1:
        self_test(devices)
    pair, progress = _build(config, devices)
    saved, damaged = Checkpoints(folder, pair, progress).restore()
    for line in damaged:
        print(line)
    if saved:
        print(f"Continuing from {saved}: {int(progress.step.numpy()):,} of {schedule.total_steps:,} steps are done.")
    with devices.writable(folder) as written, stop_on_signal() as stop:
        stopped_by = _steps(config, shards, devices, schedule, pair, progress, written, saved, stop)
        if not stopped_by:
            write_png(written / "final.png", tile(to_pixels(sample(pair, config))))
    return stopped_by


def _steps(
    config: Config,
    shards: ShardSet,
    devices: Devices,
    schedule: Schedule,
    pair: Pair,
    progress: Progress,
    folder: Path,
    saved: Path | None,
    stop: Stop,
) -> int:
    checkpoints = Checkpoints(folder, pair, progress)
    step = int(progress.step.numpy())
    history = History(folder, step)
    run_steps = _compile(pair, progress, config, devices)
    iterator = _iterator(config, shards, devices, step)
    steps_per_call, saved_at, interval = 1, time.monotonic(), Interval(step)
    with _bar(config, schedule, step) as bar:
        while step < schedule.total_steps:
            to_boundary = config.steps_per_epoch - step % config.steps_per_epoch
            count = min(steps_per_call, to_boundary, schedule.total_steps - step)
            began = time.monotonic()
            sums = run_steps(iterator, tf.constant(count, tf.int64)).numpy()
            elapsed = time.monotonic() - began
            _refuse_infinite(sums, step, count, saved)
            step += count
            progress.epoch_seconds.assign_add(elapsed)
            interval.sums += sums
            ends_epoch, ends_run = step % config.steps_per_epoch == 0, step == schedule.total_steps

            d_loss, g_loss, *_ = sums / count
            bar.set_postfix(D=f"{d_loss:.3f}", G=f"{g_loss:.3f}", refresh=False)
            bar.update(count * config.method.batch_size)
            if ends_run or time.monotonic() - interval.began > schedule.status_seconds:
                status = interval.status(config, step, schedule.total_steps)
                history.add_status(status)
                if bar.disable:
                    print(statuses.line(status), flush=True)
                interval = Interval(step)
            if ends_epoch or ends_run:
                _end_epoch(history, pair, config, progress, schedule, step)
            # The hosts take the same decisions: any may be told to stop, and their clocks differ.
            save_is_due = time.monotonic() - saved_at > 60 * schedule.save_minutes
            stopped_by, save, fewer = devices.agreed((stop.signal, save_is_due, -_next_call(count, elapsed)))
            steps_per_call = -fewer
            if ends_epoch or ends_run or stopped_by or save:
                saved, saved_at = checkpoints.save(step), time.monotonic()
                save_generator(folder, pair)
            if stopped_by:
                return stopped_by
    return 0


def _end_epoch(history: History, pair: Pair, config: Config, progress: Progress, schedule: Schedule, step: int) -> None:
    row = _row(config, progress, step)
    history.add(row)
    if row.epoch % schedule.sample_every == 0 or step == schedule.total_steps:
        history.add_samples(f"epoch-{row.epoch:05d}", row.images_seen, sample(pair, config))
    tqdm.write(_line(row))
    if step % config.steps_per_epoch == 0:
        progress.sums.assign(tf.zeros(4, tf.float64))
        progress.epoch_seconds.assign(0.0)


def measure(config: Config, shards: ShardSet, devices: Devices) -> tuple[dict[str, int], float]:
    """Build everything, take one step to compile and some to time; write nothing.

    Returns:
        The parameters of each network by its name, and the seconds that a step takes.
    """
    with _failures_in_words(devices, config):
        pair, progress = _build(config, devices)
        run_steps = _compile(pair, progress, config, devices)
        iterator = _iterator(config, shards, devices, 0)
        run_steps(iterator, tf.constant(1, tf.int64))
        began = time.monotonic()
        run_steps(iterator, tf.constant(3, tf.int64)).numpy()
        seconds = (time.monotonic() - began) / 3
    networks = (pair.generator.network, pair.discriminator.network)
    return {network.name: network.count_params() for network in networks}, seconds


def sample(pair: Pair, config: Config) -> np.ndarray:
    """Faces from the run's fixed z: float32 [64, height, width, channels] in [0, 1]."""
    method = config.method
    z = latent((config.seed, Purpose.SAMPLE), 0, SAMPLES, method.latent, method.latent_distribution)
    return pair.generator.network(z, training=False).numpy()


def save_generator(folder: Path, pair: Pair) -> None:
    """Write generator.keras, which plain Keras loads."""
    with replacing(folder / "generator.keras") as partial:
        pair.generator.network.save(partial)


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


def _cannot_write(what: str, why: str) -> str:
    return f"Cannot write {what}: {why}. Make room or see to its rights; the same command continues."


def _build(config: Config, devices: Devices) -> tuple[Pair, Progress]:
    with devices.strategy.scope():
        return build(config.method, config.image_shape, config.seed), Progress()


def _compile(
    pair: Pair, progress: Progress, config: Config, devices: Devices
) -> Callable[[Iterator, tf.Tensor], tf.Tensor]:
    """Several steps in one call: (iterator, count) -> float64 [4], sums over the steps of what a step returns."""
    replica = replica_step(pair, config.method, config.seed, devices.replicas)
    strategy = devices.strategy

    @tf.function
    def run_steps(iterator: Iterator, count: tf.Tensor) -> tf.Tensor:
        sums = tf.zeros(4, tf.float64)
        for _ in tf.range(count):
            values = strategy.run(replica, args=(next(iterator), tf.identity(progress.step)))
            values = tf.cast(strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None), tf.float64)
            progress.sums.assign_add(values)
            progress.step.assign_add(1)
            sums += values
        return sums

    return run_steps


def _iterator(config: Config, shards: ShardSet, devices: Devices, step: int) -> Iterator:
    return devices.batches(batches(shards, config.method.batch_size, config.seed, step, config.cache))


def _refuse_infinite(sums: np.ndarray, step: int, count: int, saved: Path | None) -> None:
    if not np.isfinite(sums).all():
        kept = f"The last good checkpoint is {saved}." if saved else "Nothing has been saved since the start."
        d_loss, g_loss, *_ = sums / count
        raise ClickException(
            f"A loss or gradient is no longer finite between steps {step} and {step + count} (D {d_loss}, G {g_loss}). "
            f"{kept} Try --clip-norm 1, or half of --lr-g and --lr-d, with another --out."
        )


def _next_call(count: int, elapsed: float) -> int:
    return max(1, min(2 * count, math.floor(SECONDS_PER_CALL * count / max(elapsed, 1e-6)), MOST_STEPS_PER_CALL))


def _row(config: Config, progress: Progress, step: int) -> Row:
    steps_in_epoch = (step - 1) % config.steps_per_epoch + 1
    d_loss, g_loss, *_ = progress.sums.numpy() / steps_in_epoch
    return Row(
        epoch=math.ceil(step / config.steps_per_epoch),
        step=step,
        images_seen=step * config.method.batch_size,
        d_loss=float(d_loss),
        g_loss=float(g_loss),
        seconds=round(float(progress.epoch_seconds.numpy()), 3),
    )


def _line(row: Row) -> str:
    losses = f"D {row.d_loss:.4f}, G {row.g_loss:.4f}"
    return f"epoch {row.epoch}: {row.images_seen:,} images seen, {losses}, {row.seconds:.1f} s"


def _bar(config: Config, schedule: Schedule, step: int) -> tqdm:
    batch = config.method.batch_size
    return tqdm(total=schedule.total_steps * batch, initial=step * batch, unit="img", unit_scale=True, disable=None)
