"""The losses of both networks on a batch: images in, augmentation, discriminator, loss, penalties."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from training.models.augmentation import augment
from training.models.gan import GAN
from training.models.losses import LOSSES
from training.models.networks.conditioning import LABELS
from training.models.noise import Noise, Purpose
from training.models.penalties import gradient_penalty, logits_and_squared_gradient
from training.models.precision import full_precision
from training.presets import Preset


class Objective:
    """The losses of both networks on some examples of a batch. It updates no variables but those of normalisation.

    Images are float32 [batch, height, width, channels] in [0, 1], losses float32 [batch]. Photos and generated images
    have the same labels, float32 [batch, conditions], -1 or 1, or None. `decay` is what is left of the start of every
    `CosineSchedule`, 1 to 0.
    """

    def __init__(self, gan: GAN, method: Preset, jit: bool):
        self._method, self._loss = method, LOSSES[method.loss]
        self._generate = _forward(gan.generator.network, jit)
        self._discriminate = _forward(gan.discriminator.network, jit)
        _, *others = gan.discriminator.network.inputs
        self._noise_shapes = [entry.shape[1:] for entry in others if entry.name != LABELS]
        self._augmentations = [name for name in method.augment.split(",") if name]

    def real_images(self, pixels: tf.Tensor, noise: Noise, update: int) -> tf.Tensor:
        """Return photos, uint8 to float32, flipped at random; `update` tells apart the updates of one step."""
        images = tf.cast(pixels, full_precision()) / 255.0
        if self._method.flip:
            is_kept = noise.uniform(Purpose.FLIP, (1, 1, 1), update) < 0.5
            images = tf.where(is_kept, images, tf.reverse(images, [2]))
        return images

    def fake_images(self, labels: tf.Tensor | None, noise: Noise) -> tf.Tensor:
        """Return generated images."""
        z = noise.latent(self._method.latent, self._method.latent_distribution)
        return self._generate(z if labels is None else [z, labels])

    def discriminator_loss(
        self,
        real: tf.Tensor,
        fake: tf.Tensor,
        labels: tf.Tensor | None,
        noise: Noise,
        decay: tf.Tensor,
        penalised: bool,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the discriminator's adversarial loss, and its gradient penalties (zeros unless `penalised`)."""
        method = self._method
        penalties = tf.zeros_like(real[:, 0, 0, 0])
        logits = []
        for images, purpose, gamma in (
            (real, Purpose.DISCRIMINATOR_REAL, method.r1_gamma),
            (fake, Purpose.DISCRIMINATOR_FAKE, method.r2_gamma),
        ):
            discriminate = self._discriminator(labels, noise, purpose, decay)
            if penalised and not gamma.is_zero:
                image_logits, squared_gradient = logits_and_squared_gradient(discriminate, images)
                penalties += gamma.at(decay) / 2.0 * squared_gradient
            else:
                image_logits = discriminate(images)
            logits.append(image_logits)
        if penalised and method.gradient_penalty:
            mix = noise.uniform(Purpose.INTERPOLATION, (1, 1, 1))
            discriminate = self._discriminator(labels, noise, Purpose.DISCRIMINATOR_BETWEEN, decay)
            penalties += method.gradient_penalty * gradient_penalty(discriminate, real, fake, mix)
        return self._loss.discriminator(*logits), method.penalty_every * penalties

    def generator_loss(
        self, real: tf.Tensor | None, fake: tf.Tensor, labels: tf.Tensor | None, noise: Noise, decay: tf.Tensor
    ) -> tf.Tensor:
        """Return the generator's loss; `real` are photos for a loss that depends on them, else None."""
        real_logits = None if real is None else self._discriminator(labels, noise, Purpose.GENERATOR_REAL, decay)(real)
        return self._loss.generator(real_logits, self._discriminator(labels, noise, Purpose.GENERATOR, decay)(fake))

    def _discriminator(
        self, labels: tf.Tensor | None, noise: Noise, purpose: Purpose, decay: tf.Tensor
    ) -> Callable[[tf.Tensor], tf.Tensor]:
        """Return images -> augmentation -> logits as one function, so that penalties are on the images themselves."""
        dropout_noise = [noise.uniform(purpose, shape, index) for index, shape in enumerate(self._noise_shapes)]
        probability = self._method.augment_probability.at(decay)

        def uniform(index: int, num_uniforms: int) -> tf.Tensor:
            return noise.uniform(
                purpose, (num_uniforms,), len(dropout_noise) + index
            )  # the streams before are dropout's

        def discriminate(images: tf.Tensor) -> tf.Tensor:
            augmented = augment(images, self._augmentations, probability, uniform)
            inputs = [augmented, *dropout_noise, *([] if labels is None else [labels])]
            return tf.squeeze(self._discriminate(inputs), -1)

        return discriminate


def _forward(network: keras.Model, jit: bool) -> Callable[[tf.Tensor | list[tf.Tensor]], tf.Tensor]:
    def forward(inputs: tf.Tensor | list[tf.Tensor]) -> tf.Tensor:
        return network(inputs, training=True)

    return tf.function(forward, jit_compile=True) if jit else forward
