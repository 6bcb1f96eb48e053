"""The networks of the specification, layer for layer those of the tutorial that it comes from."""

from __future__ import annotations

import keras
from keras import layers

from training.batch import ImageShape
from training.models.networks.conditioning import discriminator_labels, generator_inputs, logit
from training.models.networks.layers import Dropout, num_upsamplings, scaled_channels
from training.models.precision import full_precision


def generator(image_shape: ImageShape, latent: int, width: float = 1.0, conditions: int = 0) -> keras.Model:
    """Dense, Reshape, then Conv2DTranspose with LeakyReLU and BatchNormalization: 256, 128 and 64 wide for 64x64."""
    inputs, z = generator_inputs(latent, conditions)
    first = scaled_channels(256, width)
    x = layers.Dense(4 * 4 * first)(z)
    x = layers.Reshape((4, 4, first))(x)
    for doubling in range(num_upsamplings(image_shape) - 1):
        x = layers.Conv2DTranspose(scaled_channels(max(256 >> doubling, 32), width), 3, strides=2, padding="same")(x)
        x = layers.LeakyReLU(0.2)(x)
        # Synchronized: over several replicas the statistics are those of the global batch, and the moving ones do not
        # drift apart.
        x = layers.BatchNormalization(synchronized=True)(x)
    image = layers.Conv2DTranspose(
        image_shape[-1], 3, strides=2, padding="same", activation="sigmoid", dtype=full_precision()
    )(x)
    return keras.Model(inputs, image, name="generator")


def discriminator(image_shape: ImageShape, width: float = 1.0, conditions: int = 0, san: bool = False) -> keras.Model:
    """Two Conv2D of 64 with LeakyReLU and dropout, then Dense to one logit.

    The specification's sigmoid is part of the loss (`training.models.step`), where it cannot overflow.
    """
    num_upsamplings(image_shape)
    x = image = keras.Input(image_shape, name="image")
    noises = []
    for index in range(2):
        x = layers.Conv2D(scaled_channels(64, width), 3, strides=2, padding="same")(x)
        x = layers.LeakyReLU(0.2)(x)
        noises.append(keras.Input(x.shape[1:], name=f"noise_{index}"))
        x = Dropout(0.4)([x, noises[-1]])
    x = layers.Flatten()(x)
    labels = discriminator_labels(conditions)
    end = logit(lambda count: layers.Dense(count, dtype=full_precision())(x), x, labels, san)
    return keras.Model([image, *noises, *labels], end, name="discriminator")
