"""A method in small, photos for it and networks of it, for tests of its steps."""

import math
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np

from training.models.gan import GAN, OptimizedNetwork
from training.models.networks.layers import Dropout
from training.presets import PRESETS

SHAPE = (16, 16, 1)

METHOD = replace(PRESETS["classic"], batch_size=8, latent=10)


def photos(steps=1, shape=SHAPE):
    return np.random.default_rng(1).integers(0, 256, (steps, METHOD.batch_size, *shape), dtype=np.uint8)


def labels_of(images):
    """Two labels for each image of batches, as if they were its attributes."""
    return np.where(images[..., :2, 0, 0] > 127, 1, -1).astype(np.float32)


def dense_family():
    """Networks without BatchNormalization, whose statistics are those of what is computed at once."""

    def generator(image_shape, latent, _width, _conditions):
        z = keras.Input((latent,))
        x = keras.layers.Dense(math.prod(image_shape), activation="sigmoid")(z)
        return keras.Model(z, keras.layers.Reshape(image_shape)(x))

    def discriminator(image_shape, _width, _conditions):
        image, noise = keras.Input(image_shape), keras.Input((16,))
        x = keras.layers.Dense(16, activation="softplus")(keras.layers.Flatten()(image))
        return keras.Model([image, noise], keras.layers.Dense(1)(Dropout(0.4)([x, noise])))

    return SimpleNamespace(generator=generator, discriminator=discriminator)


def with_plain_descent(gan, learning_rate):
    """The same networks, updated by SGD, so that an update is the gradient."""
    players = (gan.generator, gan.discriminator)
    for player in players:
        assert isinstance(player.optimizer, keras.optimizers.Adam)
    descending = (OptimizedNetwork(player.network, keras.optimizers.SGD(learning_rate)) for player in players)
    return GAN(*descending, gan.generator_ema)


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])
