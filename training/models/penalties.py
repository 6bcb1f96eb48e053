"""Penalties on the gradient of the discriminator with respect to pixels.

Images come as [0, 1]; gradients are those with respect to [-1, 1], on which the papers' weights rest: half as large.
`discriminate` takes images [batch, height, width, channels] to logits [batch, 1], each a function of its own image
alone. A second column, SAN's, has no gradient with respect to images.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

Discriminate = Callable[[tf.Tensor], tf.Tensor]


def logits_and_squared_gradient(discriminate: Discriminate, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return what `discriminate` returns, and the squared norm of its gradient, float32 [batch].

    R1 of Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?", on photos, R2 on generated
    images: gamma / 2 times the squared norm, summed over pixels and channels.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        logits = discriminate(images)
    return logits, tf.reduce_sum(tf.square(tape.gradient(logits, images) / 2.0), axis=[1, 2, 3])


def gradient_penalty(discriminate: Discriminate, real: tf.Tensor, fake: tf.Tensor, mix: tf.Tensor) -> tf.Tensor:
    """Return WGAN-GP's (norm of the gradient - 1)^2, float32 [batch], at images `mix` of the way from real to fake.

    Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", equation 3. `mix` is float32 [batch, 1, 1, 1] in
    [0, 1).
    """
    _, squared = logits_and_squared_gradient(discriminate, real + mix * (fake - real))
    # The square root has no finite slope at 0, where a critic that is flat begins.
    return tf.square(tf.sqrt(squared + 1e-12) - 1.0)
