"""Labels in networks: beside z at the start of a generator, and in a projection at the end of a discriminator.

Labels are float32 [batch, conditions], -1 or 1. Without conditions networks are what they are without this module.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from training.models.precision import full_precision

LABELS = "labels"
"""Name of the input."""


def generator_inputs(
    latent: int, conditions: int
) -> tuple[keras.KerasTensor | list[keras.KerasTensor], keras.KerasTensor]:
    """Return the inputs of a generator, z or [z, labels], and what its first layer takes.

    That is z with a linear embedding of the labels beside it, as long as z (Huang et al. 2024, R3GAN/Networks.py).
    """
    z = keras.Input((latent,), name="z")
    if not conditions:
        return z, z
    labels = keras.Input((conditions,), name=LABELS)
    # Deviation 1/8 beside z's 1. R3GAN's is smaller yet, where one of 1,000 labels is 1 and all others are 0. At 1, as
    # labels of -1 and 1 would have it, the network `lite` had FD 10.8 and recall 0.03 after 5 minutes, in place of 4.8
    # and 0.32.
    initializer = keras.initializers.VarianceScaling(1 / 64, mode="fan_in", distribution="untruncated_normal")
    embedded = layers.Dense(latent, use_bias=False, kernel_initializer=initializer, dtype=full_precision())(labels)
    return [z, labels], layers.Concatenate(dtype=full_precision())([z, embedded])


def discriminator_labels(conditions: int) -> list[keras.KerasTensor]:
    """Return the last inputs of a discriminator: its labels, or nothing."""
    return [keras.Input((conditions,), name=LABELS)] if conditions else []


def projection_logit(
    features: Callable[[int], keras.KerasTensor], labels: list[keras.KerasTensor]
) -> keras.KerasTensor:
    """Return a logit with an unconditional term, and one for each label that counts by its sign.

    Miyato and Koyama 2018, "cGANs with Projection Discriminator", equation 3, for labels of several attributes.

    Args:
        features: makes so many linear outputs of the discriminator's features, [batch, count].
        labels: of `discriminator_labels`.
    """
    logit = features(1)
    if not labels:
        return logit
    by_label = layers.Dot(1, dtype=full_precision())([features(labels[0].shape[-1]), *labels])
    return layers.Add(dtype=full_precision())([logit, by_label])
