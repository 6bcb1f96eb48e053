"""R3GAN (Huang et al. 2024, "The GAN is dead; long live the GAN!"), without normalisation and without tanh.

Both networks are stages of residual blocks, D the mirror of G: 768 channels in maps up to 32x32, half as many in maps
of each larger size. Pixels are [-1, 1] inside. Under the policy mixed_bfloat16 the 4x4 stage and the ends stay in
float32, as the authors'.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from training.batch import ImageShape
from training.models.networks.conditioning import SlicedLogit, discriminator_labels, generator_inputs
from training.models.networks.layers import blur, native_groups, num_upsamplings, scaled_channels
from training.models.precision import full_precision

_BLOCKS = 2  # in a stage
_GROUP = 16  # channels of one group of a 3x3 convolution: 96 groups in a block of 768


def generator(image_shape: ImageShape, latent: int, width: float = 1.0, conditions: int = 0) -> keras.Model:
    """From z (64 long in the paper) to an image that may leave [0, 1], as a tanh's could not."""
    return _generator(_widths(image_shape, width), image_shape[-1], latent, conditions)


def discriminator(image_shape: ImageShape, width: float = 1.0, conditions: int = 0, san: bool = False) -> keras.Model:
    """From the image through the generator's stages backwards to one logit."""
    return _discriminator(_widths(image_shape, width), image_shape, conditions, san)


def _widths(image_shape: ImageShape, width: float) -> list[int]:
    """Channels of the stages from 4x4 to the image's own size."""
    stages = range(num_upsamplings(image_shape) + 1)
    return [scaled_channels(768 >> max(stage - 3, 0), width) for stage in stages]


def _generator(widths: Sequence[int], channels: int, latent: int, conditions: int = 0) -> keras.Model:
    inputs, z = generator_inputs(latent, conditions)
    x = layers.Dense(widths[0], use_bias=False, kernel_initializer=_normal(), dtype=full_precision())(z)
    # Each channel is its own learned 4x4 pattern times one number.
    x = layers.EinsumDense(
        "bc,hwc->bhwc",
        (4, 4, widths[0]),
        kernel_initializer=keras.initializers.RandomNormal(stddev=1.0),
        dtype=full_precision(),
    )(x)
    x = _stage(x, len(widths), full_precision())
    for width in widths[1:]:
        if width != x.shape[-1]:
            x = _projection(width)(x)
        x = blur()(layers.UpSampling2D(2)(x))
        x = _stage(x, len(widths))
    image = _projection(channels, full_precision())(x)
    image = layers.Rescaling(0.5, 0.5, dtype=full_precision())(image)
    return keras.Model(inputs, image, name="generator")


def _discriminator(
    widths: Sequence[int], image_shape: ImageShape, conditions: int = 0, san: bool = False
) -> keras.Model:
    image = keras.Input(image_shape, name="image")
    x = _projection(widths[-1])(layers.Rescaling(2.0, -1.0, dtype=full_precision())(image))
    for width in reversed(widths[:-1]):
        x = _stage(x, len(widths))
        x = layers.AveragePooling2D(2)(blur()(x))
        if width != x.shape[-1]:
            x = _projection(width)(x)
    x = _stage(x, len(widths), full_precision())
    # A depthwise 4x4 convolution of a 4x4 map, of fan-in 16.
    x = layers.EinsumDense(
        "bhwc,hwc->bc",
        (widths[0],),
        kernel_initializer=keras.initializers.RandomNormal(stddev=1 / 4),
        dtype=full_precision(),
    )(x)
    labels = discriminator_labels(conditions)
    outputs = widths[0] if labels else 1
    logit = layers.Dense(outputs, use_bias=False, kernel_initializer=_normal(), dtype=full_precision())(x)
    if labels:  # a projection without an unconditional term, as the authors'
        embedding = layers.Dense(
            outputs, use_bias=False, kernel_initializer=_normal(outputs**-0.5), dtype=full_precision()
        )(*labels)
        logit = layers.Dot(1, dtype=full_precision())([logit, embedding])
    if san:
        logit = SlicedLogit(dtype=full_precision())([x, *labels])
    return keras.Model([image, *labels], logit, name="discriminator")


def _stage(x: keras.KerasTensor, stages: int, dtype: str | None = None) -> keras.KerasTensor:
    # Fix-up: with the last convolution of each block at zero the network starts as its shortcuts alone. This gain keeps
    # a step of the optimizer from growing with the number of blocks (Zhang et al. 2019): L^(-1 / (2m - 2)), m = 3
    # convolutions a block, times the gain of LeakyReLU 0.2.
    gain = (2 / 1.04) ** 0.5 * (stages * _BLOCKS) ** -0.25
    for _ in range(_BLOCKS):
        x = _block(x, gain, dtype)
    return x


def _block(x: keras.KerasTensor, gain: float, dtype: str | None) -> keras.KerasTensor:
    """1x1 to twice the width, grouped 3x3, 1x1 back, plus x; a bias before each LeakyReLU only."""
    width = x.shape[-1]
    y = layers.Conv2D(2 * width, 1, kernel_initializer=_normal(gain), dtype=dtype)(x)
    y = layers.LeakyReLU(0.2, dtype=dtype)(y)
    grouped = layers.Conv2D(
        2 * width,
        3,
        padding="same",
        groups=2 * width // _GROUP,
        kernel_initializer=_normal(gain),
        dtype=dtype,
    )
    y = layers.LeakyReLU(0.2, dtype=dtype)(native_groups(grouped)(y))
    y = layers.Conv2D(width, 1, use_bias=False, kernel_initializer="zeros", dtype=dtype)(y)
    return layers.Add(dtype=dtype)([x, y])


def _projection(width: int, dtype: str | None = None) -> layers.Conv2D:
    return layers.Conv2D(width, 1, use_bias=False, kernel_initializer=_normal(), dtype=dtype)


def _normal(gain: float = 1.0) -> keras.initializers.Initializer:
    """N(0, gain^2 / fan_in), fan_in = in / groups * height * width."""
    return keras.initializers.VarianceScaling(gain**2, mode="fan_in", distribution="untruncated_normal")
