"""DCGAN (Radford et al. 2016): strided convolutions each way, BatchNormalization but at the images.

Pixels are [-1, 1] inside. The widths start at 64 next to the image and double up to 512: for 64x64 those of the paper's
own code, 64, 128, 256, 512.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from training.batch import ImageShape
from training.models.networks.conditioning import discriminator_labels, generator_inputs, logit
from training.models.networks.layers import num_upsamplings, scaled_channels
from training.models.precision import full_precision


def generator(image_shape: ImageShape, latent: int, width: float = 1.0, conditions: int = 0) -> keras.Model:
    """From z through 4x4x512 to the image: 4x4 transposed convolutions of stride 2, ReLU, tanh."""
    first, *others = reversed(widths(image_shape, width))
    inputs, z = generator_inputs(latent, conditions)
    # The paper's transposed convolution from 1x1 to 4x4 is this product.
    x = layers.Dense(4 * 4 * first, use_bias=False, kernel_initializer=_normal())(z)
    x = layers.ReLU()(_normalisation()(layers.Reshape((4, 4, first))(x)))
    for filters in others:
        deconvolution = layers.Conv2DTranspose(
            filters, 4, strides=2, padding="same", use_bias=False, kernel_initializer=_normal()
        )
        x = layers.ReLU()(_normalisation()(deconvolution(x)))
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


def discriminator(image_shape: ImageShape, width: float = 1.0, conditions: int = 0, san: bool = False) -> keras.Model:
    """4x4 convolutions of stride 2 with BatchNormalization but at the image, LeakyReLU, down to 4x4, then one logit."""
    return _discriminator(image_shape, width, conditions, san, _normal, is_normalised=True)


def critic(image_shape: ImageShape, width: float = 1.0, conditions: int = 0, san: bool = False) -> keras.Model:
    """The discriminator of WGAN-GP (Gulrajani et al. 2017): without normalisation, of He's initialisation.

    Its gradient penalty is on each image's own gradient, and BatchNormalization would mix the batch (their section 4).
    """
    return _discriminator(image_shape, width, conditions, san, keras.initializers.HeNormal, is_normalised=False)


def _discriminator(
    image_shape: ImageShape,
    width: float,
    conditions: int,
    san: bool,
    initializer: Callable[[], keras.initializers.Initializer],
    is_normalised: bool,
) -> keras.Model:
    image = keras.Input(image_shape, name="image")
    x = layers.Rescaling(2.0, -1.0, dtype=full_precision())(image)
    for index, filters in enumerate(widths(image_shape, width)):
        normalise = is_normalised and index > 0
        x = layers.Conv2D(
            filters, 4, strides=2, padding="same", use_bias=not normalise, kernel_initializer=initializer()
        )(x)
        x = layers.LeakyReLU(0.2)(_normalisation()(x) if normalise else x)
    x = layers.Flatten()(x)
    labels = discriminator_labels(conditions)
    end = logit(
        lambda count: layers.Dense(count, kernel_initializer=initializer(), dtype=full_precision())(x), x, labels, san
    )
    return keras.Model([image, *labels], end, name="discriminator")


def widths(image_shape: ImageShape, width: float) -> list[int]:
    """Channels of the maps between the image and 4x4, the largest map first: doubled each time, up to 8 times."""
    return [scaled_channels(64 * min(2**index, 8), width) for index in range(num_upsamplings(image_shape))]


def _normalisation() -> layers.BatchNormalization:
    # Gamma, epsilon and momentum as in the paper's code.
    gamma = keras.initializers.RandomNormal(mean=1.0, stddev=0.02)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma, synchronized=True)
