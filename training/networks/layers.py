"""Layers that several families share."""

from __future__ import annotations

import keras
import tensorflow as tf


class Dropout(keras.layers.Layer):
    """Dropout whose randomness is an input: [x, noise] -> x, noise uniform in [0, 1) and of x's shape.

    An element is dropped where its noise is below `rate`; what is left is divided by 1 - rate (Srivastava et al. 2014,
    inverted).
    """

    def __init__(self, rate: float, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Drop."""
        x, noise = inputs
        return tf.where(noise < self.rate, tf.zeros_like(x), x / (1.0 - self.rate))


def doublings(image_shape: tuple[int, int, int]) -> int:
    """How often a 4x4 map is doubled to reach the image.

    Raises:
        ValueError: the image is not square with a side of 8, 16, 32, ..., or has not 1 or 3 channels.
    """
    height, width, channels = image_shape
    times = (height // 4).bit_length() - 1
    if height != width or height != 4 * 2**times or times < 1 or channels not in (1, 3):
        raise ValueError(
            f"Networks build for square images of 8, 16, 32, 64, ... pixels and 1 or 3 channels, not {image_shape}"
        )
    return times
