"""The adversarial losses, each readable on one screen.

A loss takes logits of shape [batch], float32, and returns one value per example, so that the mean over the global
batch can be taken across replicas. Relativistic losses pair the photos and the generated images of a batch row by row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Loss:
    """An adversarial loss."""

    discriminator: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    """(real logits, fake logits) -> loss per example."""
    generator: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    """(real logits, fake logits) -> loss per example."""
    chance: float | None
    """The discriminator's loss where it cannot tell real from fake; None where the loss has no such value."""
    generator_sees_photos: bool = False
    """Whether the generator's loss depends on the real logits: a step then takes a second batch of photos."""


def _cross_entropy_discriminator(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    # -log sigmoid(real) - log(1 - sigmoid(fake)): labels 1 and 0. softplus does not overflow where log(sigmoid) would.
    return tf.nn.softplus(-real) + tf.nn.softplus(fake)


def _cross_entropy_generator(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    return tf.nn.softplus(-fake)  # -log sigmoid(fake): label 1


def _hinge_discriminator(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu(1.0 - real) + tf.nn.relu(1.0 + fake)


def _wasserstein_discriminator(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    return fake - real


def _linear_generator(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    return -fake


def _relativistic_discriminator(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    return tf.nn.softplus(fake - real)


def _relativistic_generator(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    return tf.nn.softplus(real - fake)


LOSSES = {
    # Goodfellow et al. 2014, "Generative Adversarial Nets", with the non-saturating generator of its section 3.
    "cross_entropy": Loss(_cross_entropy_discriminator, _cross_entropy_generator, chance=2.0 * math.log(2.0)),
    # Lim and Ye 2017, "Geometric GAN"; Miyato et al. 2018.
    "hinge": Loss(_hinge_discriminator, _linear_generator, chance=2.0),
    # Arjovsky et al. 2017, "Wasserstein GAN".
    "wasserstein": Loss(_wasserstein_discriminator, _linear_generator, chance=None),
    # Jolicoeur-Martineau 2019, "The relativistic discriminator", pair by pair as in R3GAN (Huang et al. 2024).
    "relativistic": Loss(
        _relativistic_discriminator, _relativistic_generator, chance=math.log(2.0), generator_sees_photos=True
    ),
}
