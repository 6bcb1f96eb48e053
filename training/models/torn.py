"""Torn photos: parts of two photos, or of one that is out of place, joined along a soft edge.

As additional fakes they teach the discriminator what a whole face is (Sinha et al. 2021, "Negative Data Augmentation",
arXiv 2102.05113). Images are float32 [batch, height, width, channels]; random numbers float32 in [0, 1) come in.
"""

from __future__ import annotations

import math

import tensorflow as tf

from training.presets import PHOTOS_PER_TORN

UNIFORMS = 9  # random numbers for each torn photo


def tear(photos: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Return a torn photo for each `PHOTOS_PER_TORN` neighbours in the batch: the first, with a part of another image.

    The part lies beyond a line through the middle, or within an ellipse, each as often. It is of the second
    photo, or of the first one out of place, each as often. `uniform` is [batch / PHOTOS_PER_TORN, UNIFORMS].
    """
    whole, other = photos[::PHOTOS_PER_TORN], photos[1::PHOTOS_PER_TORN]
    columns = tf.split(uniform, UNIFORMS, axis=1)
    halves, of_other = (column[:, :, None, None] < 0.5 for column in columns[:2])
    part = tf.where(of_other, other, _moved(whole, tf.concat(columns[2:4], 1)))
    inside = tf.where(halves, _beyond_a_line(whole, *columns[4:6]), _within_an_ellipse(whole, *columns[4:8]))
    softness = 0.5 + 2.0 * columns[8][:, :, None, None]  # of the edge, in pixels
    return whole + tf.sigmoid(inside / softness) * (part - whole)


def _moved(images: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Shift each image along each axis by a sixteenth to a quarter of its side, to either side."""
    for axis in (1, 2):
        size = images.shape[axis]
        signed = 2.0 * uniform[:, axis - 1] - 1.0
        shift = tf.sign(signed) * size * (1 / 16 + 3 / 16 * tf.abs(signed))
        rows = tf.range(size)[None] + tf.cast(shift, tf.int32)[:, None]
        images = tf.gather(images, tf.clip_by_value(rows, 0, size - 1), axis=axis, batch_dims=1)
    return images


def _beyond_a_line(images: tf.Tensor, angle: tf.Tensor, distance: tf.Tensor) -> tf.Tensor:
    """Return each pixel's distance beyond a line that passes the centre within an eighth of the side, in pixels."""
    rows, columns = _from_centre(images)
    radians = 2.0 * math.pi * angle[:, :, None, None]
    offset = (distance[:, :, None, None] - 0.5) * images.shape[1] / 4
    return columns * tf.cos(radians) + rows * tf.sin(radians) - offset


def _within_an_ellipse(images: tf.Tensor, *uniform: tf.Tensor) -> tf.Tensor:
    """Return how far within an ellipse each pixel is, about in pixels.

    `uniform` is the row and column of its centre, in the middle half, then its radii, a tenth to three tenths of the
    side.
    """
    side = images.shape[1]
    row, column, *radii = (number[:, :, None, None] for number in uniform)
    tall, wide = (side * (0.1 + 0.2 * radius) for radius in radii)
    down, right = (
        pixels - (centre - 0.5) * side / 2 for pixels, centre in zip(_from_centre(images), (row, column), strict=True)
    )
    return (1.0 - tf.sqrt(tf.square(down / tall) + tf.square(right / wide))) * tf.minimum(tall, wide)


def _from_centre(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the rows [1, height, 1, 1] and the columns [1, 1, width, 1] of pixels, from the centre."""
    rows, columns = (tf.range(size, dtype=images.dtype) - (size - 1) / 2 for size in images.shape[1:3])
    return rows[None, :, None, None], columns[None, None, :, None]
