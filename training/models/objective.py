"""The losses of both networks on a batch: images in, augmentation, discriminator, loss, penalties."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from training.models.augmentation import augment
from training.models.gan import GAN
from training.models.losses import LOSSES
from training.models.networks.conditioning import LABELS
from training.models.networks.layers import mixes_examples
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
        # Photos and generated images go through the discriminator in one pass where it takes each image for itself and
        # both are penalised, or neither: 7 percent less time for the network `lite`.
        penalised_alike = method.r1_gamma.is_zero == method.r2_gamma.is_zero
        self._is_one_pass = penalised_alike and not mixes_examples(gan.discriminator.network)

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
        """Return the discriminator's adversarial loss, and what is added to it.

        That is the gradient penalties where it is `penalised`, and SAN's loss of the direction: how far generated
        images are ahead of photos along it.
        """
        method = self._method
        sides = [
            (real, Purpose.DISCRIMINATOR_REAL, method.r1_gamma),
            (fake, Purpose.DISCRIMINATOR_FAKE, method.r2_gamma),
        ]
        outputs, added = [], []
        for together in [sides] if self._is_one_pass else [[side] for side in sides]:
            images, purposes, gammas = zip(*together, strict=True)
            discriminate = self._discriminator(labels, noise, purposes, decay)
            if penalised and not all(gamma.is_zero for gamma in gammas):
                found, squared_gradients = logits_and_squared_gradient(discriminate, tf.concat(images, 0))
                added += [
                    method.penalty_every * gamma.at(decay) / 2.0 * squared_gradient
                    for gamma, squared_gradient in zip(gammas, tf.split(squared_gradients, len(gammas)), strict=True)
                ]
            else:
                found = discriminate(tf.concat(images, 0))
            outputs += tf.split(found, len(images))
        if penalised and method.gradient_penalty:
            mix = noise.uniform(Purpose.INTERPOLATION, (1, 1, 1))
            discriminate = self._discriminator(labels, noise, [Purpose.DISCRIMINATOR_BETWEEN], decay)
            weight = method.penalty_every * method.gradient_penalty
            added.append(weight * gradient_penalty(discriminate, real, fake, mix))
        of_real, of_fake = outputs
        added.append(tf.reduce_sum(of_fake[:, 1:] - of_real[:, 1:], axis=1))  # zeros without SAN
        return self._loss.discriminator(of_real[:, 0], of_fake[:, 0]), tf.add_n(added)

    def generator_loss(
        self, real: tf.Tensor | None, fake: tf.Tensor, labels: tf.Tensor | None, noise: Noise, decay: tf.Tensor
    ) -> tf.Tensor:
        """Return the generator's loss; `real` are photos for a loss that depends on them, else None."""

        def logits(images: tf.Tensor, purpose: Purpose) -> tf.Tensor:
            return self._discriminator(labels, noise, [purpose], decay)(images)[:, 0]

        real_logits = None if real is None else logits(real, Purpose.GENERATOR_REAL)
        return self._loss.generator(real_logits, logits(fake, Purpose.GENERATOR))

    def _discriminator(
        self, labels: tf.Tensor | None, noise: Noise, purposes: Sequence[Purpose], decay: tf.Tensor
    ) -> Callable[[tf.Tensor], tf.Tensor]:
        """Return images -> augmentation -> outputs as one function, so that penalties are on the images themselves.

        Its images are a batch for each purpose, one after the other. Its outputs are logits, float32 [batch, 1], and
        where the discriminator has SAN's layer those of the direction beside them.
        """

        def uniform(shape: tuple[int, ...], stream: int) -> tf.Tensor:
            return tf.concat([noise.uniform(purpose, shape, stream) for purpose in purposes], 0)

        dropout_noise = [uniform(shape, index) for index, shape in enumerate(self._noise_shapes)]
        told = [] if labels is None else [tf.tile(labels, (len(purposes), 1))]
        probability = self._method.augment_probability.at(decay)

        def of_augmentation(index: int, num_uniforms: int) -> tf.Tensor:
            return uniform((num_uniforms,), len(dropout_noise) + index)  # the streams before are dropout's

        def discriminate(images: tf.Tensor) -> tf.Tensor:
            augmented = augment(images, self._augmentations, probability, of_augmentation)
            return self._discriminate([augmented, *dropout_noise, *told])

        return discriminate


def _forward(network: keras.Model, jit: bool) -> Callable[[tf.Tensor | list[tf.Tensor]], tf.Tensor]:
    def forward(inputs: tf.Tensor | list[tf.Tensor]) -> tf.Tensor:
        return network(inputs, training=True)

    return tf.function(forward, jit_compile=True, autograph=False) if jit else forward
