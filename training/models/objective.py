"""What the two networks lose by."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf
from keras.config import floatx

from training.models.augmentation import augment
from training.models.gan import GAN
from training.models.losses import LOSSES
from training.models.noise import Noise, Purpose
from training.models.penalties import gradient_penalty, logits_and_squared_gradient
from training.presets import Preset


class Game:
    """What both players lose on some examples of a batch; no variable changes here but those of normalisation.

    Images are float32 [batch, height, width, channels] in [0, 1], losses float32 [batch].
    """

    def __init__(self, gan: GAN, method: Preset, jit: bool):
        self._method, self._loss = method, LOSSES[method.loss]
        self._generate = _forward(gan.generator.network, jit)
        self._discriminate = _forward(gan.discriminator.network, jit)
        self._noise_shapes = [entry.shape[1:] for entry in gan.discriminator.network.inputs[1:]]
        self._augmentations = [name for name in method.augment.split(",") if name]

    def photos(self, pixels: tf.Tensor, noise: Noise, batch: int) -> tf.Tensor:
        """Photos as the game takes them, mirrored or not; `batch` tells apart the batches of one step."""
        images = tf.cast(pixels, floatx()) / 255.0
        if self._method.flip:
            keeps = noise.uniform(Purpose.FLIP, (1, 1, 1), batch) < 0.5
            images = tf.where(keeps, images, tf.reverse(images, [2]))
        return images

    def fakes(self, noise: Noise) -> tf.Tensor:
        """Generated images."""
        return self._generate(noise.latent(self._method.latent, self._method.latent_distribution))

    def discriminator(
        self, real: tf.Tensor, fake: tf.Tensor, noise: Noise, decay: tf.Tensor, penalised: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """D's adversarial loss, and its penalties."""
        method = self._method
        penalties = tf.zeros_like(real[:, 0, 0, 0])
        logits = []
        for images, purpose, gamma in (
            (real, Purpose.DISCRIMINATOR_REAL, method.r1_gamma),
            (fake, Purpose.DISCRIMINATOR_FAKE, method.r2_gamma),
        ):
            discriminate = self._discriminator(noise, purpose, decay)
            if penalised and not gamma.is_zero:
                seen, squared_gradient = logits_and_squared_gradient(discriminate, images)
                penalties += gamma.at(decay) / 2.0 * squared_gradient
            else:
                seen = discriminate(images)
            logits.append(seen)
        if penalised and method.gradient_penalty:
            mix = noise.uniform(Purpose.INTERPOLATION, (1, 1, 1))
            discriminate = self._discriminator(noise, Purpose.DISCRIMINATOR_BETWEEN, decay)
            penalties += method.gradient_penalty * gradient_penalty(discriminate, real, fake, mix)
        return self._loss.discriminator(*logits), method.penalty_every * penalties

    def generator(self, real: tf.Tensor | None, fake: tf.Tensor, noise: Noise, decay: tf.Tensor) -> tf.Tensor:
        """G's loss; `real` are photos for a loss that sees them."""
        real_logits = None if real is None else self._discriminator(noise, Purpose.GENERATOR_REAL, decay)(real)
        return self._loss.generator(real_logits, self._discriminator(noise, Purpose.GENERATOR, decay)(fake))

    def _discriminator(self, noise: Noise, purpose: Purpose, decay: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor]:
        """D's logits of images that are augmented on the way, so that penalties are on the images themselves."""
        drawn = [noise.uniform(purpose, shape, index) for index, shape in enumerate(self._noise_shapes)]
        probability = self._method.augment_probability.at(decay)

        def uniform(place: int) -> tf.Tensor:
            return noise.uniform(purpose, (3,), len(drawn) + place)  # the streams below are dropout's

        def discriminate(images: tf.Tensor) -> tf.Tensor:
            augmented = augment(images, self._augmentations, probability, uniform)
            return tf.squeeze(self._discriminate([augmented, *drawn]), -1)

        return discriminate


def _forward(network: keras.Model, jit: bool) -> Callable[[tf.Tensor | list[tf.Tensor]], tf.Tensor]:
    def forward(inputs: tf.Tensor | list[tf.Tensor]) -> tf.Tensor:
        return network(inputs, training=True)

    return tf.function(forward, jit_compile=True) if jit else forward
