"""Both networks with their optimizers, and the exponential moving average (EMA) of the generator."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import keras
import tensorflow as tf

import training.models.bias_gradient  # noqa: F401  # it replaces a gradient
from training.models.networks import family
from training.models.precision import computing_in, full_precision
from training.models.progress import Progress
from training.models.san import with_san
from training.presets import Preset
from training.schedule import CosineSchedule


@dataclass(frozen=True)
class OptimizedNetwork:
    """A network and its optimizer."""

    network: keras.Model
    optimizer: keras.optimizers.Optimizer


@dataclass(frozen=True)
class GAN:
    """The generator and the discriminator."""

    generator: OptimizedNetwork
    discriminator: OptimizedNetwork
    generator_ema: keras.Model
    """Samples, scores and generator.keras use it: the generator's EMA, or the generator where the preset has none."""


def build(method: Preset, image_shape: tuple[int, int, int], seed: int, progress: Progress, conditions: int = 0) -> GAN:
    """Build both networks and their optimizers, initialised from `seed`. Call it within the strategy's scope.

    `conditions` is the number of labels.
    """
    # Keras takes its initialisers' seeds from Python's generator. `keras.utils.set_random_seed` would set TensorFlow's
    # global seed too, which tf.data then mixes into its own: the order of photos would no longer be a function of
    # (seed, epoch) alone.
    random.seed(seed)
    networks = family(method.network)
    new_generator = partial(networks.generator, image_shape, method.latent, method.width, conditions)
    with computing_in(method.precision):
        generator = new_generator()
        discriminator = networks.discriminator(image_shape, method.width, conditions)
        if method.san:
            discriminator = with_san(discriminator)
    # The average is no part of a step: it costs nothing to draw faces in float32.
    with computing_in("float32"):
        generator_ema = generator if method.ema_kimg.is_zero else new_generator()
    if generator_ema is not generator:
        for copy, variable in zip(generator_ema.variables, generator.variables, strict=True):
            copy.assign(variable)

    def optimized(network: keras.Model, rate: CosineSchedule) -> OptimizedNetwork:
        optimizer = Adam(
            lambda: rate.at(cosine_decay(method, progress.step)) * progress.lr_scale,
            method.beta_1,
            lambda: method.beta_2.at(cosine_decay(method, progress.step)),
            method.epsilon,
        )
        optimizer.build(network.trainable_variables)  # before tracing: variables cannot be made inside a tf.function
        return OptimizedNetwork(network, optimizer)

    return GAN(optimized(generator, method.lr_g), optimized(discriminator, method.lr_d), generator_ema)


class Adam(keras.optimizers.Adam):
    """Keras's Adam with a beta_2 that may change at every step, as its learning rate may already.

    With an `epsilon` it is the algorithm 1 of Kingma and Ba 2015, which PyTorch has: epsilon is added to the root of
    the unbiased second moment. Keras's form adds it before the bias is corrected: with 1e-7 the first steps are small
    where gradients are.
    """

    def __init__(
        self,
        learning_rate: Callable[[], tf.Tensor],
        beta_1: float,
        beta_2: Callable[[], tf.Tensor],
        epsilon: float,
    ):
        super().__init__(learning_rate, beta_1)
        self._current_beta_2 = beta_2
        self._unbiased_epsilon = epsilon

    def update_step(self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor) -> None:
        """Update one variable."""
        self.beta_2 = self._current_beta_2()
        if self._unbiased_epsilon:
            beta_2_power = tf.cast(self.beta_2, variable.dtype) ** tf.cast(self.iterations + 1, variable.dtype)
            self.epsilon = self._unbiased_epsilon * tf.sqrt(1.0 - beta_2_power)
        super().update_step(gradient, variable, learning_rate)


def cosine_decay(method: Preset, step: tf.Tensor) -> tf.Tensor:
    """Return the weight of the start of every `CosineSchedule` at a step: float32, 1 to 0 along half a cosine.

    Huang et al. 2024, `cosine_decay_with_warmup` of R3GAN's code.
    """
    if not method.ramp_kimg:
        return tf.ones([], full_precision())
    done = tf.cast(step, full_precision()) * (method.batch_size / (1000.0 * method.ramp_kimg))
    return 0.5 * (1.0 + tf.cos(math.pi * tf.minimum(done, 1.0)))


def update_ema(strategy: tf.distribute.Strategy, gan: GAN, half_life: tf.Tensor, images: int) -> None:
    """Update `gan.generator_ema` after `images` more photos; call it in cross-replica context.

    The statistics of normalisation are averaged too. Copied, as StyleGAN's code does it, they would be those of the
    last few hundred images and of other weights: in a `lite` of 1,388 kimg the averages of the channels are then 1
    percent of a deviation off, and FD is 1.28 in place of the 1.23 of statistics that many faces were drawn for.

    Args:
        strategy: where the networks are.
        gan: the networks.
        half_life: in photos; 0 copies the generator.
        images: photos seen since the last call.
    """
    keep = 0.5 ** (images / tf.maximum(half_life, 1e-3))
    for average, variable in zip(gan.generator_ema.variables, gan.generator.network.variables, strict=True):
        strategy.extended.update(
            average.value,
            lambda old, new, keep: old.assign(new + keep * (old - new)),
            args=(variable.value, keep),
        )
