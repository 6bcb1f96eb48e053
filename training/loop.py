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

from training.checkpoints import Checkpoints, Progress
from training.config import Config
from training.files import replacing
from training.grid import tile, to_pixels, write_png
from training.history import History, Row
from training.noise import Purpose, latent
from training.pipeline import batches
from training.shards import ShardSet
from training.step import Pair, build, replica_step
from training.strategy import distribute

# One call into TensorFlow takes about this long: rare enough to cost nothing, often enough for the bar and for Ctrl-C.
SECONDS_PER_CALL = 0.5
MOST_STEPS_PER_CALL = 1_000
SAMPLES = 64


@dataclass(frozen=True)
class Length:
    """How long a run is and how often it draws."""

    total_steps: int
    sample_every: int
    """Epochs between grids of samples."""


@dataclass
class Stop:
    """Whether a signal has asked the run to stop."""

    signal: int | None = None


@contextmanager
def _damage_reported() -> Iterator[None]:
    try:
        yield
    except tf.errors.DataLossError as error:
        raise ClickException(
            f"A shard is damaged ({error.message}). Find it with: python -m preprocess.verify FOLDER"
        ) from None


@_damage_reported()
def train(
    config: Config, shards: ShardSet, strategy: tf.distribute.Strategy, length: Length, folder: Path
) -> int | None:
    """Run from where the folder's newest checkpoint stands to the end.

    Returns:
        The signal that stopped the run early, with everything saved, or None when it reached its end.

    Raises:
        ClickException: a loss is not finite, or a shard is damaged.
    """
    with strategy.scope():
        pair = build(config.method, config.image_shape, config.seed)
        progress = Progress()
    checkpoints = Checkpoints(folder, pair, progress)
    restored = checkpoints.restore()
    step = int(progress.step)
    if restored:
        print(f"Continuing from {restored}: {step:,} of {length.total_steps:,} steps are done.")
    history = History(folder, step)
    run_steps = _compile(pair, progress, config, strategy)
    iterator = _iterator(config, shards, strategy, step)
    steps_per_call = 1
    with stop_on_signal() as stop, _bar(config, length, step) as bar:
        while step < length.total_steps:
            to_boundary = config.steps_per_epoch - step % config.steps_per_epoch
            count = min(steps_per_call, to_boundary, length.total_steps - step)
            began = time.monotonic()
            d_loss, g_loss = _finite(run_steps(iterator, tf.constant(count, tf.int64)).numpy(), step, count, restored)
            elapsed = time.monotonic() - began
            progress.epoch_seconds.assign_add(elapsed)
            step += count
            steps_per_call = _next_call(count, elapsed)
            bar.set_postfix(D=f"{d_loss:.3f}", G=f"{g_loss:.3f}", refresh=False)
            bar.update(count * config.method.batch_size)
            epoch_ended = step % config.steps_per_epoch == 0
            if epoch_ended or step == length.total_steps:
                row = _row(config, progress, step)
                history.add(row)
                if row.epoch % length.sample_every == 0 or step == length.total_steps:
                    history.add_samples(f"epoch-{row.epoch:05d}", row.images_seen, sample(pair, config))
                tqdm.write(_line(row))
                if epoch_ended:
                    progress.loss_sums.assign([0.0, 0.0])
                    progress.epoch_seconds.assign(0.0)
            if epoch_ended or step == length.total_steps or stop.signal:
                restored = checkpoints.save(step)
                save_generator(folder, pair)
            if stop.signal:
                return stop.signal
    write_png(folder / "final.png", tile(to_pixels(sample(pair, config))))
    save_generator(folder, pair)
    return None


@_damage_reported()
def measure(config: Config, shards: ShardSet, strategy: tf.distribute.Strategy) -> tuple[dict[str, int], float]:
    """Build everything, take one step to compile and some to time; write nothing.

    Returns:
        The parameters of each network by its name, and the seconds that a step takes.
    """
    with strategy.scope():
        pair = build(config.method, config.image_shape, config.seed)
        progress = Progress()
    run_steps = _compile(pair, progress, config, strategy)
    iterator = _iterator(config, shards, strategy, 0)
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


def _compile(
    pair: Pair, progress: Progress, config: Config, strategy: tf.distribute.Strategy
) -> Callable[[Iterator, tf.Tensor], tf.Tensor]:
    replica = replica_step(pair, config.method, config.seed, strategy.num_replicas_in_sync)

    @tf.function
    def run_steps(iterator: Iterator, count: tf.Tensor) -> tf.Tensor:
        before = tf.identity(progress.loss_sums)
        for _ in tf.range(count):
            losses = strategy.run(replica, args=(next(iterator), tf.identity(progress.step)))
            progress.loss_sums.assign_add(
                tf.cast(strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None), tf.float64)
            )
            progress.step.assign_add(1)
        return (progress.loss_sums - before) / tf.cast(count, tf.float64)

    return run_steps


def _iterator(config: Config, shards: ShardSet, strategy: tf.distribute.Strategy, step: int) -> Iterator:
    return distribute(strategy, batches(shards, config.method.batch_size, config.seed, step, config.cache))


def _finite(losses: np.ndarray, step: int, count: int, restored: Path | None) -> np.ndarray:
    if not np.isfinite(losses).all():
        kept = f"The last good checkpoint is {restored}." if restored else "There is no checkpoint yet."
        raise ClickException(
            f"The loss is no longer finite (D {losses[0]}, G {losses[1]}) between steps {step} and {step + count}. "
            f"{kept} Try --clip-norm 1, or half of --lr-g and --lr-d, with another --out."
        )
    return losses


def _next_call(count: int, elapsed: float) -> int:
    return max(1, min(2 * count, math.floor(SECONDS_PER_CALL * count / max(elapsed, 1e-6)), MOST_STEPS_PER_CALL))


def _row(config: Config, progress: Progress, step: int) -> Row:
    steps_in_epoch = (step - 1) % config.steps_per_epoch + 1
    d_loss, g_loss = progress.loss_sums.numpy() / steps_in_epoch
    return Row(
        epoch=math.ceil(step / config.steps_per_epoch),
        step=step,
        images_seen=step * config.method.batch_size,
        d_loss=float(d_loss),
        g_loss=float(g_loss),
        seconds=round(float(progress.epoch_seconds), 3),
    )


def _line(row: Row) -> str:
    losses = f"D {row.d_loss:.4f}, G {row.g_loss:.4f}"
    return f"epoch {row.epoch}: {row.images_seen:,} images seen, {losses}, {row.seconds:.1f} s"


def _bar(config: Config, length: Length, step: int) -> tqdm:
    batch = config.method.batch_size
    return tqdm(total=length.total_steps * batch, initial=step * batch, unit="img", unit_scale=True, disable=None)
