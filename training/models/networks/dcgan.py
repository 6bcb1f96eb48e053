"""DCGAN (Radford et al. 2016): strided convolutions each way, BatchNormalization but at the images.

Pixels are [-1, 1] inside. The widths start at 64 next to the image and double up to 512: for 64x64 those of the paper's
own code, 64, 128, 256, 512.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from training.models.networks.conditioning import discriminator_labels, generator_inputs, projection_logit
from training.models.networks.layers import num_upsamplings, scaled_channels
from training.models.precision import full_precision


def generator(image_shape: tuple[int, int, int], latent: int, width: float = 1.0, conditions: int = 0) -> keras.Model:
    """From z through 4x4x512 to the image: 4x4 transposed convolutions of stride 2, ReLU, tanh."""
    first, *others = reversed(widths(image_shape, width))
    inputs, z = generator_inputs(latent, conditions)
    # The paper's transposed convolution from 1x1 to 4x4 is this product.
    x = layers.Dense(4 * 4 * first, use_bias=False, kernel_initializer=_normal())(z)
    x = layers.ReLU()(_normalisation()(layers.Reshape((4, 4, first))(x)))
    for filters in others:
        x = layers.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False, kernel_initializer=_normal())(
            x
        )
        x = layers.ReLU()(_normalisation()(x))
    image = layers.Conv2DTranspose(
        image_shape[-1],
        4,
        strides=2,
        padding="same",
        activation="tanh",
        kernel_initializer=_normal(),
        dtype=full_precision(),
    )(x)
    image = layers.Rescaling(0.5, 0.5, dtype=full_precision())(image)
    return keras.Model(inputs, image, name="generator")


def _normal() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=0.02)


def discriminator(
    image_shape: tuple[int, int, int],
    width: float = 1.0,
    conditions: int = 0,
    normalised: bool = True,
    initializer: Callable[[], keras.initializers.Initializer] = _normal,
    bottlenecks: int = 0,
) -> keras.Model:
    """4x4 convolutions of stride 2 with LeakyReLU, down to 4x4, then one logit.

    Args:
        image_shape: height, width, channels.
        width: multiplies the channels.
        conditions: number of labels.
        normalised: whether BatchNormalization follows every convolution but the first.
        initializer: makes the initialiser of each layer's weights.
        bottlenecks: how many maps, from the smallest on, have a bottleneck block of their own.
    """
    image = keras.Input(image_shape, name="image")
    x = layers.Rescaling(2.0, -1.0, dtype=full_precision())(image)
    channels = widths(image_shape, width)
    for index, filters in enumerate(channels):
        normalise = normalised and index > 0
        x = layers.Conv2D(
            filters, 4, strides=2, padding="same", use_bias=not normalise, kernel_initializer=initializer()
        )(x)
        if normalise:
            x = _normalisation()(x)
        x = layers.LeakyReLU(0.2)(x)
        if index >= len(channels) - bottlenecks:
            x = _bottleneck(x, initializer)
    x = layers.Flatten()(x)
    labels = discriminator_labels(conditions)
    logit = projection_logit(
        lambda count: layers.Dense(count, kernel_initializer=initializer(), dtype=full_precision())(x), labels
    )
    return keras.Model([image, *labels], logit, name="discriminator")


def _bottleneck(x: keras.KerasTensor, initializer: Callable[[], keras.initializers.Initializer]) -> keras.KerasTensor:
    """Add a 3x3 convolution between two of 1x1, in a quarter of the channels (He et al. 2016, figure 5).

    For discriminators without normalisation: the blocks have none, and are linear after the sum.
    """
    channels = x.shape[-1]
    inner = scaled_channels(channels, 0.25)
    h = layers.LeakyReLU(0.2)(layers.Conv2D(inner, 1, kernel_initializer=initializer())(x))
    h = layers.LeakyReLU(0.2)(layers.Conv2D(inner, 3, padding="same", kernel_initializer=initializer())(h))
    return layers.Add()([x, layers.Conv2D(channels, 1, use_bias=False, kernel_initializer=initializer())(h)])


def widths(image_shape: tuple[int, int, int], width: float) -> list[int]:
    """Channels of the maps between the image and 4x4, the largest map first: doubled each time, up to 8 times."""
    return [scaled_channels(64 * min(2**index, 8), width) for index in range(num_upsamplings(image_shape))]


def _normalisation() -> layers.BatchNormalization:
    # Gamma, epsilon and momentum as in the paper's code.
    gamma = keras.initializers.RandomNormal(mean=1.0, stddev=0.02)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma, synchronized=True)
