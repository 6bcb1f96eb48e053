"""The networks on their devices: built, compiled into calls of several steps, fed, drawn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from click import UsageError

from training import draw
from training.config import Config
from training.data.pipeline import batches
from training.data.shards import ShardSet
from training.files import replacing
from training.loop.strategy import Devices
from training.models.gan import GAN, Player, build, cosine_decay, update_ema
from training.models.losses import LOSSES
from training.models.networks.layers import SpectralConv2D
from training.models.progress import VALUES, Progress
from training.models.step import Turn, replica_step, turns

SAMPLES = 64

Steps = Callable[[Iterator, tf.Tensor], tf.Tensor]
"""(iterator, count int64) -> float64 [VALUES]: takes `count` steps and sums what they returned."""


def build_on(devices: Devices, config: Config) -> tuple[GAN, Progress]:
    """The networks, optimizers and counters of a new run."""
    with devices.strategy.scope():
        progress = Progress()
        return build(config.method, config.image_shape, config.seed, progress), progress


def compile_steps(gan: GAN, progress: Progress, config: Config, devices: Devices) -> Steps:
    """Several steps in one call into TensorFlow.

    Raises:
        UsageError: these networks cannot be compiled with XLA over several devices.
    """
    if config.jit and devices.replicas > 1 and any(map(_shares_statistics, (gan.generator, gan.discriminator))):
        raise UsageError(
            "--jit cannot compile what devices share within a network: BatchNormalization, spectral normalisation. "
            "Leave it out, or use --strategy one."
        )
    method, strategy = config.method, devices.strategy
    turn_of_step = turns(method)
    kinds = list(dict.fromkeys(turn_of_step))
    kind_of_step = tf.constant([kinds.index(turn) for turn in turn_of_step])
    batches_a_step = _batches_a_step(config)

    def taking(turn: Turn, global_batches: list[tf.Tensor]) -> Callable[[], tf.Tensor]:
        replica = replica_step(gan, method, config.seed, devices.replicas, turn, config.micro_batch, config.jit)

        def take() -> tf.Tensor:
            values = strategy.run(replica, args=(global_batches, tf.identity(progress.step)))
            if turn.updates_generator and gan.generator_ema is not gan.generator.network:
                half_life = 1000.0 * method.ema_kimg.at(cosine_decay(method, progress.step))
                update_ema(strategy, gan, half_life, method.batch_size * method.critic_steps)
            return strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)

        return take

    @tf.function
    def run_steps(iterator: Iterator, count: tf.Tensor) -> tf.Tensor:
        sums = tf.zeros(VALUES, tf.float64)
        for _ in tf.range(count):
            global_batches = [next(iterator) for _ in range(batches_a_step)]
            # What a step does is decided here and not on the replicas: they cannot reduce within a condition.
            kind = kind_of_step[progress.step % len(turn_of_step)]
            values = tf.switch_case(kind, [taking(turn, global_batches) for turn in kinds])
            values = tf.cast(values, tf.float64)
            progress.sums.assign_add(values)
            progress.step.assign_add(1)
            sums += values
        return sums

    return run_steps


def _shares_statistics(player: Player) -> bool:
    kinds = (keras.layers.BatchNormalization, SpectralConv2D)
    return any(isinstance(layer, kinds) for layer in player.network.layers)


def feed(config: Config, shards: ShardSet, devices: Devices, step: int) -> Iterator:
    """Global batches from what step `step` takes on."""
    first_batch = step * _batches_a_step(config)
    return devices.batches(batches(shards, config.method.batch_size, config.seed, first_batch, config.cache))


def _batches_a_step(config: Config) -> int:
    return 2 if LOSSES[config.method.loss].generator_sees_photos else 1


def sample(gan: GAN, config: Config) -> np.ndarray:
    """Faces from the run's fixed z: uint8 [SAMPLES, height, width, channels]."""
    return draw.faces(gan.generator_ema, SAMPLES, config.seed, config.method.latent_distribution)


def save_generator(path: Path, gan: GAN) -> None:
    """Write the generator that samples come from as a .keras file, which plain Keras loads."""
    with replacing(path) as partial:
        gan.generator_ema.save(partial)
