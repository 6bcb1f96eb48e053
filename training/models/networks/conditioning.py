"""Where labels enter the networks: beside z at the start of a generator, and at the end of a discriminator; SAN's end.

Labels are float32 [batch, conditions], -1 or 1. Without conditions networks are what they are without this module.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf
from keras import layers

from training.models.precision import full_precision

LABELS = "labels"  # name of the input


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
    # Standard deviation 1/8: at 1 the labels drown z (after 5 minutes FD 10.8 and recall 0.03 against 4.8 and 0.32).
    initializer = keras.initializers.VarianceScaling(1 / 64, mode="fan_in", distribution="untruncated_normal")
    embedded = layers.Dense(latent, use_bias=False, kernel_initializer=initializer, dtype=full_precision())(labels)
    return [z, labels], layers.Concatenate(dtype=full_precision())([z, embedded])


def discriminator_labels(conditions: int) -> list[keras.KerasTensor]:
    """Return the last inputs of a discriminator: its labels, or nothing."""
    return [keras.Input((conditions,), name=LABELS)] if conditions else []


def logit(
    linear: Callable[[int], keras.KerasTensor], features: keras.KerasTensor, labels: list[keras.KerasTensor], san: bool
) -> keras.KerasTensor:
    """Return the end of a discriminator: an unconditional term, and one for each label that counts by its sign.

    Miyato and Koyama 2018, "cGANs with Projection Discriminator", equation 3, for labels of several attributes.
    `linear` makes so many linear outputs, [batch, count], of the features, [batch, width]; with `san` SAN's layer takes
    their place. `labels` are those of `discriminator_labels`.
    """
    result = linear(1)
    if labels:
        by_label = layers.Dot(1, dtype=full_precision())([linear(labels[0].shape[-1]), *labels])
        result = layers.Add(dtype=full_precision())([result, by_label])
    return SlicedLogit(dtype=full_precision())([features, *labels]) if san else result


@keras.saving.register_keras_serializable(package="training")
class SlicedLogit(keras.layers.Layer):
    """SAN's last layer: [features, *labels], float [batch, width] and [batch, count] of -1 or 1, to [batch, 2].

    Takida et al. 2024, "SAN: Inducing Metrizability of GAN with Discriminative Normalized Linear Layer", section 5:
    D(x) = <w, h(x)> with |w| = 1. Both columns have this value. Column 0 trains the features h by the GAN's loss, with
    w detached; column 1 trains the direction w, with h detached, to maximise E<w, h(real)> - E<w, h(fake)>. For losses
    whose slope changes the paper weights these means by it; here they are plain, as in the authors' hinge GAN. Scale
    and bias of the authors' layer are left out: features can learn both. With labels w is a sum: one vector, and one
    for each label by its sign.
    """

    def build(self, shapes: list[tuple[int, ...]]) -> None:
        """Make the vectors."""
        (_, width), *labels = shapes
        count = 1 + sum(shape[-1] for shape in labels)
        # Expected norm 1, so that Adam's relative step on w is that of other layers.
        initializer = keras.initializers.RandomNormal(stddev=(width * count) ** -0.5)
        self.vectors = self.add_weight(name="vectors", shape=(count, width), initializer=initializer)

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Project."""
        features, *labels = inputs
        signs = tf.concat([tf.ones_like(features[:, :1]), *labels], 1)
        direction = tf.math.l2_normalize(signs @ tf.convert_to_tensor(self.vectors), axis=1)
        for_features = tf.reduce_sum(features * tf.stop_gradient(direction), axis=1)
        for_direction = tf.reduce_sum(tf.stop_gradient(features) * direction, axis=1)
        return tf.stack([for_features, for_direction], axis=1)
