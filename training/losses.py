"""The adversarial losses, each readable on one screen.

A loss takes logits of shape [batch], float32, and returns one value per example, so that the mean over the global
batch can be taken across replicas.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Loss:
    """What the discriminator and the generator minimise."""

    discriminator: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    """(real logits, fake logits) -> loss per example."""
    generator: Callable[[tf.Tensor], tf.Tensor]
    """fake logits -> loss per example."""


def _cross_entropy_discriminator(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    # -log sigmoid(real) - log(1 - sigmoid(fake)): labels 1 and 0. softplus does not overflow where log(sigmoid) would.
    return tf.nn.softplus(-real) + tf.nn.softplus(fake)


def _cross_entropy_generator(fake: tf.Tensor) -> tf.Tensor:
    return tf.nn.softplus(-fake)  # -log sigmoid(fake): label 1


LOSSES = {
    # Goodfellow et al. 2014, "Generative Adversarial Nets", with the non-saturating generator of its section 3.
    "cross_entropy": Loss(_cross_entropy_discriminator, _cross_entropy_generator),
}
