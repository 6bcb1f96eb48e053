"""The augmentations of ADA: Karras et al. 2020, "Training GANs with Limited Data", appendix B, as R3GAN uses them.

All geometry is one affine warp, all colour one affine map. Images are float32 [batch, height, width, channels] in
[0, 1], grey or RGB. Strengths and order are those of `AugmentPipe` in the authors' augment.py, without its filters and
its noise; brightness, contrast, luma flip, hue and saturation at half the probability, as R3GAN's train.py has it.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

UNIFORMS = 31  # uniform random numbers for each image

# The low-pass filter of the wavelet sym6 (Daubechies 1992, symlets of 6 vanishing moments), its sum made 1.
_SYM6 = np.array(
    [
        0.015404109327027373,
        0.0034907120842174702,
        -0.11799011114819057,
        -0.048311742585633,
        0.4910559419267466,
        0.787641141030194,
        0.3379294217276218,
        -0.07263752278646252,
        -0.021060292512300564,
        0.04472490177066578,
        0.0017677118642428036,
        -0.007800708325034148,
    ]
)
_LOW_PASS = _SYM6 / _SYM6.sum()
_TAPS = len(_LOW_PASS)
_BORDER = _TAPS // 4  # what the filter reaches beyond the image on each side, in pixels
_COLOR_SHARE = 0.5  # of the probability


class _Draws:
    """The random numbers of a batch, taken one after the other, and with what chance they count."""

    def __init__(self, uniform: tf.Tensor, probability: tf.Tensor):
        self._columns = iter(tf.unstack(uniform, axis=1))
        self.probability = probability

    def uniform(self) -> tf.Tensor:
        """Return numbers in [0, 1): [batch]."""
        return next(self._columns)

    def normal(self) -> tf.Tensor:
        """Return standard normal numbers: [batch]."""
        return tf.math.ndtri(tf.maximum(next(self._columns), 2.0**-24))  # 0 would be minus infinity

    def chosen(self, value: tf.Tensor, otherwise: float, share: float | tf.Tensor = 1.0) -> tf.Tensor:
        """Return `value` with the probability times `share`."""
        return self.either([value], otherwise, share)[0]

    def either(self, values: list[tf.Tensor], otherwise: float, share: float | tf.Tensor = 1.0) -> list[tf.Tensor]:
        """Return all of `values`, or none of them."""
        is_chosen = next(self._columns) < self.probability * share
        return [tf.where(is_chosen, value, tf.ones_like(value) * otherwise) for value in values]


def ada(images: tf.Tensor, uniform: tf.Tensor, probability: tf.Tensor | float) -> tf.Tensor:
    """Return augmented images of the same shape and dtype, which may leave [0, 1].

    Each augmentation is made to each image with the probability, colours with half of it. `uniform` is float32
    [batch, UNIFORMS] in [0, 1).
    """
    draws = _Draws(uniform, tf.convert_to_tensor(probability, uniform.dtype))
    _, height, width, _ = images.shape
    images = warp(2.0 * images - 1.0, geometry(draws, height, width))
    images = _cutout(recolored(images, color(draws, images.shape[-1])), draws)
    return (images + 1.0) / 2.0


def geometry(draws: _Draws, height: int, width: int) -> tf.Tensor:
    """Return the map from pixels of the result to pixels of the image, both from their middle: [batch, 3, 3]."""
    flipped = draws.chosen(tf.floor(draws.uniform() * 2), 0.0)
    inverse = _scale(1.0 - 2.0 * flipped, tf.ones_like(flipped))
    inverse = inverse @ _turn(draws.chosen(tf.floor(draws.uniform() * 4), 0.0) * (math.pi / 2))
    shift = draws.either([(draws.uniform() * 2 - 1) * 0.125 for _ in range(2)], 0.0)
    inverse = inverse @ _move(-tf.round(shift[0] * width), -tf.round(shift[1] * height))
    factor = draws.chosen(2.0 ** (draws.normal() * 0.2), 1.0)
    inverse = inverse @ _scale(1.0 / factor, 1.0 / factor)
    # Turned before or after the anisotropic scaling: one of both with the probability.
    share = (1.0 - tf.sqrt(1.0 - draws.probability)) / tf.maximum(draws.probability, 1e-12)
    inverse = inverse @ _turn(draws.chosen((draws.uniform() * 2 - 1) * math.pi, 0.0, share))
    factor = draws.chosen(2.0 ** (draws.normal() * 0.2), 1.0)
    inverse = inverse @ _scale(1.0 / factor, factor)
    inverse = inverse @ _turn(draws.chosen((draws.uniform() * 2 - 1) * math.pi, 0.0, share))
    shift = draws.either([draws.normal() * 0.125 for _ in range(2)], 0.0)
    return inverse @ _move(-shift[0] * width, -shift[1] * height)


def color(draws: _Draws, channels: int) -> tf.Tensor:
    """Return the map of colours in [-1, 1]: [batch, 4, 4], on red, green, blue and 1."""
    added = draws.chosen(draws.normal() * 0.2, 0.0, _COLOR_SHARE)
    factor = draws.chosen(2.0 ** (draws.normal() * 0.5), 1.0, _COLOR_SHARE)
    flipped = draws.chosen(tf.floor(draws.uniform() * 2), 0.0, _COLOR_SHARE)
    one = tf.eye(4, dtype=added.dtype)
    luma = tf.constant(np.pad(np.full((3, 3), 1 / 3), (0, 1)), added.dtype)
    shift = one + tf.pad(tf.stack([added] * 3, 1)[:, :, None], [[0, 0], [0, 1], [3, 0]])
    contrast = one + (factor[:, None, None] - 1.0) * tf.constant(np.diag([1.0, 1.0, 1.0, 0.0]), added.dtype)
    matrix = (one - 2.0 * luma * flipped[:, None, None]) @ contrast @ shift
    if channels == 1:
        return matrix
    angle = draws.chosen((draws.uniform() * 2 - 1) * math.pi, 0.0, _COLOR_SHARE)
    saturation = draws.chosen(2.0 ** draws.normal(), 1.0, _COLOR_SHARE)
    return (luma + (one - luma) * saturation[:, None, None]) @ _around_grey(angle) @ matrix


def recolored(images: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Return images in [-1, 1] with their colours mapped; grey ones by the mean of what the three channels become."""
    linear, added = matrix[:, :3, :3], matrix[:, None, None, :3, 3]
    if images.shape[-1] == 1:
        gain = tf.reduce_sum(tf.reduce_mean(linear, 1), 1)
        return images * gain[:, None, None, None] + tf.reduce_mean(added, -1, keepdims=True)
    return tf.einsum("bhwc,bdc->bhwd", images, linear) + added


def warp(images: tf.Tensor, inverse: tf.Tensor) -> tf.Tensor:
    """Return images at the pixels that `inverse` says, [batch, 3, 3], of the images continued by reflection.

    Sampled bilinearly on a grid twice as fine, between the wavelet's low-pass filters, so that nothing aliases. The
    authors continue an image by one reflection at most, and by 0 beyond; by mirrors without end no shape depends on
    what is drawn.
    """
    _, height, width, channels = images.shape
    fine = _upsampled(_upsampled(_mirrored(_mirrored(images, 1), 2), 1), 2)
    # The finer grid's places from its middle, in pixels of the result; 0.5 between the middles of both grids.
    sides = height + 2 * _BORDER, width + 2 * _BORDER
    rows, columns = ((tf.range(2 * side, dtype=images.dtype) + 1.0 - side) / 2.0 for side in sides)
    y, x = (tf.reshape(part, [-1]) for part in tf.meshgrid(rows, columns, indexing="ij"))
    x, y, _ = tf.unstack(inverse @ tf.stack([x, y, tf.ones_like(x)]), axis=1)
    sampled = _bilinear(fine, 2.0 * x + width - 1.0, 2.0 * y + height - 1.0)
    sampled = tf.reshape(sampled, [-1, 2 * sides[0], 2 * sides[1], channels])
    return _downsampled(_downsampled(sampled, 1), 2)


def _mirrored(images: tf.Tensor, axis: int) -> tf.Tensor:
    """Return images and their mirror images along an axis, one period of an endless row of mirrors."""
    inner = [slice(None)] * axis + [slice(1, -1)]
    return tf.concat([images, tf.reverse(images[tuple(inner)], [axis])], axis)


def _bilinear(images: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Return images that repeat without end at columns x and rows y, [batch, places]: [batch, places, channels]."""
    _, height, width, channels = images.shape
    flat = tf.reshape(images, [-1, height * width, channels])
    left, top = tf.floor(x), tf.floor(y)
    total = 0.0
    for down, row_weight in ((0, 1.0 - (y - top)), (1, y - top)):
        for right, column_weight in ((0, 1.0 - (x - left)), (1, x - left)):
            row = tf.math.floormod(tf.cast(top, tf.int32) + down, height)
            column = tf.math.floormod(tf.cast(left, tf.int32) + right, width)
            values = tf.gather(flat, row * width + column, axis=1, batch_dims=1)
            total += (row_weight * column_weight)[:, :, None] * values
    return total


def _upsampled(images: tf.Tensor, axis: int) -> tf.Tensor:
    """Return images that repeat, twice as large along an axis (1 or 2): zeros between, then the low-pass filter."""
    before, after = [slice(None)] * axis + [slice(-_BORDER, None)], [slice(None)] * axis + [slice(_BORDER)]
    images = tf.concat([images[tuple(before)], images, images[tuple(after)]], axis)
    # Of the filter's taps the even ones meet pixels for every second place of the result, the odd ones for the others.
    kernel = np.zeros((_TAPS // 2 + 1, 1, 2))
    kernel[:-1, 0, 0] = 2.0 * _LOW_PASS[::-1][0::2]
    kernel[1:, 0, 1] = 2.0 * _LOW_PASS[::-1][1::2]
    return _filtered(images, axis, kernel, stride=1)


def _downsampled(images: tf.Tensor, axis: int) -> tf.Tensor:
    """Return images half as large along an axis (1 or 2), without the border: the low-pass filter backwards."""
    inner = [slice(None)] * axis + [slice(1, -1)]
    return _filtered(images[tuple(inner)], axis, _LOW_PASS[:, None, None], stride=2)


def _filtered(images: tf.Tensor, axis: int, kernel: np.ndarray, stride: int) -> tf.Tensor:
    """Return images correlated along an axis with `kernel` [taps, 1, phases], phases one after the other."""
    across, channels = images.shape[3 - axis], images.shape[-1]
    rows = tf.reshape(tf.transpose(images, [0, 3 - axis, 3, axis]), [-1, images.shape[axis], 1])
    filtered = tf.nn.conv1d(rows, tf.constant(kernel, images.dtype), stride, "VALID")
    filtered = tf.reshape(filtered, [-1, across, channels, filtered.shape[1] * filtered.shape[2]])
    return tf.transpose(filtered, [0, 3, 1, 2] if axis == 1 else [0, 1, 3, 2])


def _cutout(images: tf.Tensor, draws: _Draws) -> tf.Tensor:
    """Return images with a hole of half the side around a place anywhere in them, 0."""
    _, height, width, _ = images.shape
    size = draws.chosen(tf.ones_like(draws.probability) * 0.5, 0.0)
    inside = [
        tf.abs((tf.range(side, dtype=images.dtype) + 0.5) / side - draws.uniform()[:, None]) < size[:, None] / 2.0
        for side in (width, height)
    ]
    hole = inside[1][:, :, None, None] & inside[0][:, None, :, None]
    return tf.where(hole, tf.zeros_like(images), images)


def _matrix(rows: list[list[tf.Tensor | float]], like: tf.Tensor) -> tf.Tensor:
    """Return matrices of numbers and of [batch] numbers: [batch, len(rows), len(rows[0])]."""
    return tf.stack([tf.stack([tf.ones_like(like) * entry for entry in row], -1) for row in rows], -2)


def _scale(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return _matrix([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]], x)


def _move(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return _matrix([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]], x)


def _turn(angle: tf.Tensor) -> tf.Tensor:
    sine, cosine = tf.sin(angle), tf.cos(angle)
    return _matrix([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]], angle)


def _around_grey(angle: tf.Tensor) -> tf.Tensor:
    """Return turns of colours around the axis of greys: [batch, 4, 4]."""
    cosine = tf.cos(angle)
    same, other = (1.0 - cosine) / 3.0, tf.sin(angle) / math.sqrt(3.0)
    first = [same + cosine, same - other, same + other]
    rows = [[first[(column - row) % 3] for column in range(3)] + [0.0] for row in range(3)]
    return _matrix([*rows, [0.0, 0.0, 0.0, 1.0]], angle)
