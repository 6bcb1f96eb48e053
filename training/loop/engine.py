"""The networks on their devices: many training steps in one call into TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from click import UsageError

from training.batch import Batch
from training.config import Config
from training.data.pipeline import batches
from training.data.shards import ShardSet
from training.loop.strategy import Devices
from training.models.gan import GAN, Progress, begin_with, build, update_ema
from training.models.networks.layers import mixes_examples
from training.models.optimizer import cosine_decay
from training.models.precision import full_precision
from training.models.step import Phase, StepValues, batches_per_step, has_penalty, phases, replica_step

# How long one call into TensorFlow takes: rare enough to cost nothing, often enough for the bar and for Ctrl-C.
SECONDS_PER_CALL = 0.5
MAX_STEPS_PER_CALL = 1_000

NUM_VALUES = len(StepValues._fields)

# (iterator over global batches, count int64) -> float64 [NUM_VALUES]: runs `count` steps, returns their sum.
RunSteps = Callable[[Iterator, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class StepsResult:
    """What one call into TensorFlow did."""

    first_step: int
    count: int
    sums: np.ndarray  # float64 [NUM_VALUES], over its steps
    seconds: float

    @property
    def next_count(self) -> int:
        """How many steps the next call should take."""
        fitting = math.floor(SECONDS_PER_CALL * self.count / max(self.seconds, 1e-6))
        return max(1, min(2 * self.count, fitting, MAX_STEPS_PER_CALL))


class StepMeans(NamedTuple):
    """Means per update over several steps; NaN for G where no step updated it."""

    d_loss: float
    g_loss: float
    d_gradient: float
    g_gradient: float
    augment_probability: float


def means(sums: np.ndarray, steps: int) -> StepMeans:
    """Return the means per update from the sums of `StepValues`, float64 [NUM_VALUES], over `steps` steps."""
    total = StepValues(*np.asarray(sums).tolist())
    per_g_update = 1.0 / total.generator_updates if total.generator_updates else float("nan")
    return StepMeans(
        total.d_loss / steps,
        total.g_loss * per_g_update,
        total.d_gradient / steps,
        total.g_gradient * per_g_update,
        total.augment_probability / steps,
    )


def build_on(devices: Devices, config: Config, saved: Mapping[str, keras.Model] | None = None) -> tuple[GAN, Progress]:
    """Build the networks, optimizers and counters of a new run on these devices.

    It begins with the weights of `saved`, of `load_networks`. Raises UsageError where they do not fit.
    """
    with devices.strategy.scope():
        progress = Progress(NUM_VALUES)
        gan = build(config.method, config.image_shape, config.seed, progress, len(config.conditions))
        try:
            begin_with(gan, saved or {})
        except ValueError as error:
            raise UsageError(
                f"The networks in {config.init} are not those of its config.json ({error}). Name another run by --init."
            ) from None
    return gan, progress


def compile_steps(gan: GAN, progress: Progress, config: Config, devices: Devices) -> RunSteps:
    """Compile many steps into one call; raise UsageError where XLA cannot compile networks over several devices."""
    if config.jit and devices.replicas > 1 and any(map(mixes_examples, (gan.generator, gan.discriminator))):
        raise UsageError(
            "--jit cannot compile what devices share within a network: BatchNormalization, spectral normalisation. "
            "Leave it out, or use --strategy one."
        )
    method, strategy = config.method, devices.strategy
    # Grappler's arithmetic pass reorders sums of double-backprop gradients by process: not bit-identical. Off costs no
    # speed.
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": not has_penalty(method)})
    cycle = phases(method)
    kinds = list(dict.fromkeys(cycle))
    kind_of_step = tf.constant([kinds.index(phase) for phase in cycle])

    def step_of(phase: Phase, global_batches: list[Batch]) -> Callable[[], tf.Tensor]:
        replica = replica_step(gan, method, config.seed, devices.replicas, phase, config.micro_batch, config.jit)

        def run_step() -> tf.Tensor:
            # As tensors: each replica would read a variable for itself.
            adapted = tf.cast(tf.identity(progress.augment_probability), full_precision())
            inputs = (global_batches, tf.identity(progress.step), adapted)
            values = strategy.run(lambda *arguments: tf.stack(replica(*arguments)), args=inputs)
            half_life = 1000.0 * method.ema_kimg.at(cosine_decay(method, progress.step))
            update_ema(strategy, gan, half_life, method.batch_size)
            return strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)

        return run_step

    def add_step(iterator: Iterator, sums: tf.Tensor) -> tf.Tensor:
        global_batches = [next(iterator) for _ in range(batches_per_step(method, bool(config.conditions)))]
        # The phase is chosen here and not on the replicas: they cannot reduce within a condition.
        kind = kind_of_step[progress.step % len(cycle)]
        values = tf.switch_case(kind, [step_of(phase, global_batches) for phase in kinds])
        values = tf.cast(values, tf.float64)
        progress.sums.assign_add(values)
        progress.step.assign_add(1)
        if method.augment_target is not None:
            progress.adapt(method, StepValues(*tf.unstack(values)).real_sign)
        return sums + values

    @tf.function(autograph=False)  # no Python control flow in here; saves 1.5 s of tracing
    def run_steps(iterator: Iterator, count: tf.Tensor) -> tf.Tensor:
        done, sums = tf.zeros([], tf.int64), tf.zeros(NUM_VALUES, tf.float64)
        _, sums = tf.while_loop(
            lambda done, sums: done < count, lambda done, sums: (done + 1, add_step(iterator, sums)), [done, sums]
        )
        return sums

    return run_steps


def global_batches(config: Config, shards: ShardSet, devices: Devices, step: int) -> Iterator:
    """Return an iterator over the global batches from step `step` on."""
    method, conditions = config.method, config.conditions
    first_batch = step * batches_per_step(method, bool(conditions))
    return devices.batches(batches(shards, method.batch_size, config.seed, first_batch, config.cache, conditions))
