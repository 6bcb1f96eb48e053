"""Augmentations of every discriminator input, real and generated alike, so that none leaks into the faces.

Those of this file are of Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training", with its
strengths; each comes with a probability. Images are float32 [batch, height, width, channels] in [0, 1]; random numbers
float32 in [0, 1) come in, so that nothing here is random.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from training.models import ada


@dataclass(frozen=True)
class Augmentation:
    """One augmentation, or a set of them that belong together."""

    num_uniforms: int  # uniform random numbers for each image
    # (images, random numbers [batch, num_uniforms], probability) -> images.
    apply: Callable[[tf.Tensor, tf.Tensor, tf.Tensor | float], tf.Tensor]


GREY = 0.5  # what fills a hole: DiffAugment's 0 on [-1, 1]


def _brightness(images: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    return images + (uniform[:, :1, None, None] - 0.5) / 2.0  # DiffAugment's range, half of it for [0, 1]


def _contrast(images: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return mean + (images - mean) * (uniform[:, :1, None, None] + 0.5)


def _translation(images: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    _, height, width, _ = images.shape
    reach = (height // 8, width // 8)  # up to an eighth
    padded = tf.pad(images, [[0, 0], [reach[0]] * 2, [reach[1]] * 2, [0, 0]], constant_values=GREY)
    rows, columns = (
        tf.cast(uniform[:, axis] * (2 * reach[axis] + 1), tf.int32)[:, None] + tf.range(size)
        for axis, size in enumerate((height, width))
    )
    moved = tf.gather(padded, rows, axis=1, batch_dims=1)
    moved = tf.gather(tf.transpose(moved, [0, 2, 1, 3]), columns, axis=1, batch_dims=1)
    return tf.transpose(moved, [0, 2, 1, 3])


def _cutout(images: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    _, height, width, _ = images.shape
    inside = []
    for axis, size in enumerate((height, width)):
        first = tf.floor(uniform[:, axis : axis + 1] * (size + 1)) - size // 4
        pixels = tf.range(size, dtype=uniform.dtype)
        inside.append((pixels >= first) & (pixels < first + size // 2))
    hole = inside[0][:, :, None, None] & inside[1][:, None, :, None]
    return tf.where(hole, tf.cast(GREY, images.dtype), images)


def _sometimes(change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> Augmentation:
    """Return a change of two random numbers, made to each image with the probability."""

    def apply(images: tf.Tensor, uniform: tf.Tensor, probability: tf.Tensor | float) -> tf.Tensor:
        return tf.where(uniform[:, 2, None, None, None] < probability, change(images, uniform[:, :2]), images)

    return Augmentation(3, apply)


AUGMENTATIONS = {
    "brightness": _sometimes(_brightness),
    "contrast": _sometimes(_contrast),
    "translation": _sometimes(_translation),
    "cutout": _sometimes(_cutout),
    "ada": Augmentation(ada.UNIFORMS, ada.ada),
}


def augment(
    images: tf.Tensor, names: list[str], probability: tf.Tensor | float, uniform: Callable[[int, int], tf.Tensor]
) -> tf.Tensor:
    """Apply each of `names`, keys of `AUGMENTATIONS`, to each image with `probability`, a scalar in [0, 1].

    `uniform` takes an index in `names` and num_uniforms to float32 [batch, num_uniforms] in [0, 1).
    """
    if not names:
        return images

    def augmented() -> tf.Tensor:
        result = images
        for index, augmentation in enumerate(AUGMENTATIONS[name] for name in names):
            result = augmentation.apply(result, uniform(index, augmentation.num_uniforms), probability)
        return result

    # An adapted probability is 0 until D knows its photos, and ADA's set takes a CPU as long as the networks of `lite`.
    return tf.cond(tf.convert_to_tensor(probability) > 0.0, augmented, lambda: images)
