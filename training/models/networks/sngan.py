"""SNGAN (Miyato et al. 2018): residual networks, every weight of D divided by its largest singular value.

The 64x64 networks are mimicry's (Lee and Town 2020) at half the width, a quarter of the arithmetic: 512 channels at
4x4, halved with each doubling down to 32 at the image. Pixels are [-1, 1] inside.
"""

from __future__ import annotations

import keras
from keras import layers

from training.batch import ImageShape
from training.models.networks.conditioning import discriminator_labels, generator_inputs, logit
from training.models.networks.layers import SpectralConv2D, num_upsamplings, scaled_channels
from training.models.precision import full_precision

# In a block a ReLU halves the power before each convolution; nothing does before a shortcut.
_RESIDUAL_GAIN = 2**0.5


def generator(image_shape: ImageShape, latent: int, width: float = 1.0, conditions: int = 0) -> keras.Model:
    """Dense to 4x4, blocks that each double the map, then BatchNormalization, ReLU, 3x3 convolution, tanh."""
    first, *others = reversed(_widths(image_shape, width))
    inputs, z = generator_inputs(latent, conditions)
    x = layers.Dense(4 * 4 * first, kernel_initializer=_glorot())(z)
    x = layers.Reshape((4, 4, first))(x)
    for filters in others:
        x = _up_block(x, filters)
    x = layers.ReLU()(_normalisation()(x))
    image = layers.Conv2D(
        image_shape[-1], 3, padding="same", activation="tanh", kernel_initializer=_glorot(), dtype=full_precision()
    )(x)
    image = layers.Rescaling(0.5, 0.5, dtype=full_precision())(image)
    return keras.Model(inputs, image, name="generator")


def discriminator(image_shape: ImageShape, width: float = 1.0, conditions: int = 0, san: bool = False) -> keras.Model:
    """Blocks that each halve the map, down to 2x2, ReLU, the sum over the map, then one logit."""
    first, *others = _widths(image_shape, width)
    image = keras.Input(image_shape, name="image")
    x = _first_down_block(layers.Rescaling(2.0, -1.0, dtype=full_precision())(image), first)
    for filters in others:
        x = _down_block(x, filters)
    x = layers.ReLU()(x)
    area = x.shape[1] * x.shape[2]
    x = layers.GlobalAveragePooling2D(keepdims=True, dtype=full_precision())(x)
    x = layers.Rescaling(area, dtype=full_precision())(x)  # the mean times the area is the sum
    labels = discriminator_labels(conditions)
    flat = layers.Flatten(dtype=full_precision())

    def linear(count: int) -> keras.KerasTensor:
        return flat(SpectralConv2D(count, 1, dtype=full_precision())(x))

    return keras.Model([image, *labels], logit(linear, flat(x), labels, san), name="discriminator")


def _widths(image_shape: ImageShape, width: float) -> list[int]:
    """Channels of the maps from the image's own size to 4x4."""
    return [scaled_channels(min(32 << index, 512), width) for index in range(num_upsamplings(image_shape) + 1)]


def _up_block(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
    shortcut = layers.Conv2D(width, 1, kernel_initializer=_glorot())(layers.UpSampling2D(2)(x))
    x = layers.UpSampling2D(2)(layers.ReLU()(_normalisation()(x)))
    x = layers.Conv2D(width, 3, padding="same", kernel_initializer=_glorot(_RESIDUAL_GAIN))(x)
    x = layers.ReLU()(_normalisation()(x))
    x = layers.Conv2D(width, 3, padding="same", kernel_initializer=_glorot(_RESIDUAL_GAIN))(x)
    return layers.Add()([x, shortcut])


def _down_block(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
    shortcut = layers.AveragePooling2D(2)(SpectralConv2D(width, 1)(x))
    x = SpectralConv2D(x.shape[-1], 3, _RESIDUAL_GAIN)(layers.ReLU()(x))
    x = SpectralConv2D(width, 3, _RESIDUAL_GAIN)(layers.ReLU()(x))
    return layers.Add()([layers.AveragePooling2D(2)(x), shortcut])


def _first_down_block(image: keras.KerasTensor, width: int) -> keras.KerasTensor:
    """A down block without the ReLU that would cut off the dark half of the image; its shortcut is pooled first."""
    shortcut = SpectralConv2D(width, 1)(layers.AveragePooling2D(2)(image))
    x = SpectralConv2D(width, 3, _RESIDUAL_GAIN)(image)
    x = SpectralConv2D(width, 3, _RESIDUAL_GAIN)(layers.ReLU()(x))
    return layers.Add()([layers.AveragePooling2D(2)(x), shortcut])


def _glorot(gain: float = 1.0) -> keras.initializers.Initializer:
    return keras.initializers.VarianceScaling(gain**2, mode="fan_avg", distribution="uniform")


def _normalisation() -> layers.BatchNormalization:
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, synchronized=True)  # as in mimicry
