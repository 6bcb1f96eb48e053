"""The best faces per CPU minute: the shape of DCGAN, 32 wide, without normalisation in D."""

from __future__ import annotations

import keras
from keras import layers

from training.models.networks import dcgan
from training.models.networks.conditioning import generator_inputs
from training.models.precision import full_precision

_OF_DCGAN = 0.5  # factor of its channels: 32 next to the image


def generator(image_shape: tuple[int, int, int], latent: int, width: float = 1.0, conditions: int = 0) -> keras.Model:
    """Dense to 4x4, then transposed convolutions."""
    first, *others = reversed(dcgan.widths(image_shape, _OF_DCGAN * width))
    inputs, z = generator_inputs(latent, conditions)
    x = layers.Dense(4 * 4 * first, use_bias=False)(z)
    x = layers.Reshape((4, 4, first))(x)
    for filters in others:
        x = layers.BatchNormalization(synchronized=True)(x)
        x = layers.LeakyReLU(0.2)(x)
        x = layers.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(synchronized=True)(x)
    x = layers.LeakyReLU(0.2)(x)
    image = layers.Conv2DTranspose(
        image_shape[-1], 4, strides=2, padding="same", activation="sigmoid", dtype=full_precision()
    )(x)
    return keras.Model(inputs, image, name="generator")


def discriminator(image_shape: tuple[int, int, int], width: float = 1.0, conditions: int = 0) -> keras.Model:
    """DCGAN's, without normalisation and with Glorot's initialisation."""
    return dcgan.discriminator(image_shape, _OF_DCGAN * width, conditions, False, keras.initializers.GlorotUniform)
