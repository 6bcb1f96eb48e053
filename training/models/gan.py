"""All that is trained: both networks with their optimizers, the moving average of the generator, and the counters."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import keras
import tensorflow as tf

import training.models.bias_gradient  # noqa: F401  # it replaces a gradient
from training.batch import ImageShape
from training.models.networks import FAMILIES
from training.models.networks.conditioning import LABELS
from training.models.networks.layers import Dropout
from training.models.optimizer import Adam, cosine_decay
from training.models.precision import computing_in, full_precision
from training.presets import CosineSchedule, Preset


@dataclass(frozen=True)
class GAN:
    """The networks and their optimizers."""

    generator: keras.Model
    g_optimizer: keras.optimizers.Optimizer
    discriminator: keras.Model
    d_optimizer: keras.optimizers.Optimizer
    # The exponential moving average of the generator, in float32; samples, scores and generator.keras come from it.
    generator_ema: keras.Model


ADAPT_EVERY = 4  # steps, as in ADA's code


class Progress(tf.Module):
    """The counters of a run, and what follows from its steps so far."""

    def __init__(self, num_values: int):
        super().__init__()
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        # Sums of the step's values over the epoch, in float64: the same bits whether or not the run was interrupted.
        self.sums = tf.Variable(tf.zeros(num_values, tf.float64), trainable=False)
        self.epoch_seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self.rollbacks = tf.Variable(0, dtype=tf.int64, trainable=False)
        # Of a run with an `augment_target`.
        self.augment_probability = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self.real_signs = tf.Variable(0.0, dtype=tf.float64, trainable=False)

    def adapt(self, method: Preset, real_sign: tf.Tensor) -> None:
        """Adapt the probability of augmentations after a step, by the mean sign of D's logits for its photos, float64.

        Karras et al. 2020, "Training GANs with Limited Data", section 3.1, the heuristic r_t, as the authors' code has
        it; but the probability also ends at 1.
        """
        self.real_signs.assign_add(real_sign)
        change = ADAPT_EVERY * method.batch_size / (1000.0 * method.augment_kimg)
        direction = tf.sign(self.real_signs / ADAPT_EVERY - method.augment_target)
        moved = tf.clip_by_value(self.augment_probability + change * direction, 0.0, 1.0)
        is_due = self.step % ADAPT_EVERY == 0
        self.augment_probability.assign(tf.where(is_due, moved, self.augment_probability))
        self.real_signs.assign(tf.where(is_due, tf.zeros_like(self.real_signs), self.real_signs))


def build(method: Preset, image_shape: ImageShape, seed: int, progress: Progress, conditions: int = 0) -> GAN:
    """Build the networks and their optimizers, initialised from `seed`. Call it within the strategy's scope.

    `conditions` is the number of labels.
    """
    # Keras takes the seeds of its initialisers from Python's generator. `keras.utils.set_random_seed` would also set
    # TensorFlow's global seed, which tf.data mixes into its own: photos would come in another order.
    random.seed(seed)
    family = FAMILIES[method.network]
    with computing_in(method.precision):
        generator = family.generator(image_shape, method.latent, method.width, conditions)
        discriminator = family.discriminator(image_shape, method.width, conditions, method.san)
    with computing_in("float32"):
        generator_ema = family.generator(image_shape, method.latent, method.width, conditions)
    for average, variable in zip(generator_ema.variables, generator.variables, strict=True):
        average.assign(variable)

    def optimizer(network: keras.Model, rate: CosineSchedule) -> keras.optimizers.Optimizer:
        adam = Adam(
            # Half as fast after each return to a checkpoint.
            lambda: rate.at(cosine_decay(method, progress.step)) * 0.5 ** tf.cast(progress.rollbacks, full_precision()),
            method.beta_1,
            lambda: method.beta_2.at(cosine_decay(method, progress.step)),
            method.epsilon,
        )
        adam.build(network.trainable_variables)  # before tracing: a tf.function cannot make variables
        return adam

    g_optimizer, d_optimizer = optimizer(generator, method.lr_g), optimizer(discriminator, method.lr_d)
    return GAN(generator, g_optimizer, discriminator, d_optimizer, generator_ema)


def for_inference(discriminator: keras.Model) -> keras.Model:
    """Return what a discriminator is as a judge of faces: [images, *labels] to logits in float32, without dropout.

    It has the discriminator's weights as they are now, until this is called again.
    """
    copy = _copy_for_inference(discriminator)
    for layer in copy.layers:
        layer.set_weights(discriminator.get_layer(layer.name).get_weights())
    return copy


@lru_cache(maxsize=1)  # a run calls it at every save, and `sngan` takes a second to copy
def _copy_for_inference(discriminator: keras.Model) -> keras.Model:
    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config({**layer.get_config(), "dtype": full_precision()})

    def called(layer: keras.layers.Layer, inputs: Any, **arguments: Any) -> keras.KerasTensor:
        return inputs[0] if isinstance(layer, Dropout) else layer(inputs, **arguments)

    copy = keras.models.clone_model(discriminator, clone_function=copied, call_function=called)
    image, *others = copy.inputs
    labels = [entry for entry in others if entry.name == LABELS]  # the others are dropout's noise
    return keras.Model([image, *labels] if labels else image, copy.outputs[0], name=discriminator.name)


def begin_with(gan: GAN, saved: Mapping[str, keras.Model]) -> None:
    """Give new networks the weights of `saved` ones, those of `checkpoints.load_networks`, where it has them.

    Call it within the strategy's scope. Raises ValueError where a saved network has other weights.
    """
    for network in (gan.generator, gan.generator_ema, gan.discriminator):
        if network.name in saved:
            network.set_weights(saved[network.name].get_weights())


def update_ema(strategy: tf.distribute.Strategy, gan: GAN, half_life: tf.Tensor, images: int) -> None:
    """Update `gan.generator_ema` after `images` more photos, by a half-life in photos; 0 copies the generator.

    Call it in cross-replica context.
    """
    keep = 0.5 ** (images / tf.maximum(half_life, 1e-3))
    # BatchNormalization's statistics are averaged too: copied, as in StyleGAN, they belong to other weights (FD 1.28
    # against 1.23, a `lite` of 1,388 kimg).
    for average, variable in zip(gan.generator_ema.variables, gan.generator.variables, strict=True):
        strategy.extended.update(
            average.value, lambda old, new, keep: old.assign(new + keep * (old - new)), args=(variable.value, keep)
        )
