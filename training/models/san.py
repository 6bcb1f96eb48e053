"""SAN's last layer of a discriminator.

Takida et al. 2024, "SAN: Inducing Metrizability of GAN with Discriminative Normalized Linear Layer", section 5.
A discriminator is a direction and the features that are projected on it. Its loss alone does not make the direction the
one in which photos and generated images differ most; so the features are learnt from the loss, with the direction
constant and of length 1, and the direction is learnt to put photos as far ahead of generated images as it can, with the
features constant. Both means are plain, as in the authors' hinge GAN; for losses whose slope changes the paper weights
them by it. The scale and the bias of the authors' layer are left out: features can learn both.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from training.models.networks.conditioning import LABELS
from training.models.precision import full_precision


class SlicedLogit(keras.layers.Layer):
    """[features, *labels] to two equal logits: float [batch, width], [batch, count] of -1 or 1, to [batch, 2].

    The first is for losses and penalties: its gradient is that of the features. The second is for the direction. With
    labels the direction is that of a sum: one vector, and one for each label by its sign.
    """

    def build(self, shapes: list[tuple[int | None, ...]]) -> None:
        """Make the vectors."""
        (_, width), *labels = shapes
        count = 1 + sum(shape[-1] for shape in labels)
        # About 1 long in all: Adam then turns it at first about as fast as it moves the weights of other layers.
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


def with_san(discriminator: keras.Model) -> keras.Model:
    """Return a discriminator with this layer in place of its end: a Dense layer with one output, a term for each label.

    Neither sngan's ends so, nor r3gan's with labels.
    """
    # With one label its term is a Dense layer with one output too, of the same features.
    end, *_ = [layer for layer in discriminator.layers if isinstance(layer, keras.layers.Dense) and layer.units == 1]
    labels = [entry for entry in discriminator.inputs if entry.name == LABELS]
    logits = SlicedLogit(dtype=full_precision())([end.input, *labels])
    return keras.Model(discriminator.inputs, logits, name=discriminator.name)
