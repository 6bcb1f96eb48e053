"""The two networks, what updates them, and the moving average of the generator."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import keras
import tensorflow as tf
from keras.config import floatx

import training.models.bias_gradient  # noqa: F401  # its effect is what is wanted
from training.models.networks import family
from training.models.progress import Progress
from training.presets import Preset
from training.schedule import Ramp


@dataclass(frozen=True)
class Player:
    """One of the two networks and what updates it."""

    network: keras.Model
    optimizer: keras.optimizers.Optimizer


@dataclass(frozen=True)
class GAN:
    """The generator and the discriminator."""

    generator: Player
    discriminator: Player
    generator_ema: keras.Model
    """What samples come from: the generator's moving average where the preset has one, else the generator itself."""


def build(method: Preset, image_shape: tuple[int, int, int], seed: int, progress: Progress) -> GAN:
    """Build both networks and their optimizers, initialised from `seed`. Call it within the strategy's scope.

    Weights, losses and random numbers are of Keras's floatx: float32, unless `tests/benchmarks/replicas.py` asks for
    float64.
    """
    # Keras takes its initialisers' seeds from Python's generator. `keras.utils.set_random_seed` would set TensorFlow's
    # global seed too, which tf.data then mixes into its own: the order of photos would no longer be a function of
    # (seed, epoch) alone.
    random.seed(seed)
    networks = family(method.network)
    new_generator = partial(networks.generator, image_shape, method.latent, method.width)
    with computing_in(method.precision):
        generator = new_generator()
        discriminator = networks.discriminator(image_shape, method.width)
        generator_ema = generator if method.ema_kimg.is_zero else new_generator()
    if generator_ema is not generator:
        for copy, variable in zip(generator_ema.variables, generator.variables, strict=True):
            copy.assign(variable)

    def player(network: keras.Model, rate: Ramp) -> Player:
        optimizer = Adam(
            lambda: rate.at(cosine_decay(method, progress.step)) * progress.lr_scale,
            method.beta_1,
            lambda: method.beta_2.at(cosine_decay(method, progress.step)),
        )
        optimizer.build(network.trainable_variables)  # before tracing: variables cannot be made inside a tf.function
        return Player(network, optimizer)

    return GAN(player(generator, method.lr_g), player(discriminator, method.lr_d), generator_ema)


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Build layers that compute in this precision, "float32" or "bfloat16"."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else floatx())
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class Adam(keras.optimizers.Adam):
    """Keras's Adam whose beta_2 may change with every step, as its learning rate may already."""

    def __init__(self, learning_rate: Callable[[], tf.Tensor], beta_1: float, beta_2: Callable[[], tf.Tensor]):
        super().__init__(learning_rate, beta_1)
        self._beta_2_now = beta_2

    def update_step(self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor) -> None:
        """Update one variable."""
        self.beta_2 = self._beta_2_now()
        super().update_step(gradient, variable, learning_rate)


def cosine_decay(method: Preset, step: tf.Tensor) -> tf.Tensor:
    """How much is left of the start of every `Ramp` at this step: float32, 1 to 0 along half a cosine."""
    if not method.ramp_kimg:
        return tf.ones([], floatx())
    done = tf.cast(step, floatx()) * (method.batch_size / (1000.0 * method.ramp_kimg))
    return 0.5 * (1.0 + tf.cos(math.pi * tf.minimum(done, 1.0)))


def update_ema(strategy: tf.distribute.Strategy, gan: GAN, half_life: tf.Tensor, images: int) -> None:
    """Move `gan.generator_ema` towards the generator by what `images` photos are worth; in cross-replica context.

    Args:
        strategy: where the networks are.
        gan: the networks.
        half_life: in photos; 0 copies.
        images: how many were seen since the last call.
    """
    keep = 0.5 ** (images / tf.maximum(half_life, 1e-3))
    learnt = {id(variable) for variable in gan.generator_ema.trainable_variables}
    for average, variable in zip(gan.generator_ema.variables, gan.generator.network.variables, strict=True):
        # Statistics of normalisation are averages already.
        kept = keep if id(average) in learnt else tf.zeros_like(keep)
        strategy.extended.update(
            average.value, lambda old, new, kept: old.assign(new + kept * (old - new)), args=(variable.value, kept)
        )
