"""A method in small, photos for it and networks of it, for tests of its steps."""

import math
from contextlib import contextmanager
from dataclasses import replace

import keras
import numpy as np

from training.models.networks import Family
from training.models.networks.conditioning import logit
from training.models.networks.layers import Dropout
from training.presets import PRESETS

SHAPE = (16, 16, 1)

METHOD = replace(PRESETS["classic"], batch_size=8, latent=10, width=0.25)


def photos(steps=1):
    return np.random.default_rng(1).integers(0, 256, (steps, METHOD.batch_size, *SHAPE), dtype=np.uint8)


def labels_of(images):
    """Two labels for each image of batches, as if they were its attributes."""
    return np.where(images[..., :2, 0, 0] > 127, 1, -1).astype(np.float32)


def dense_family():
    """Networks without BatchNormalization, whose statistics are those of what is computed at once."""

    def generator(image_shape, latent, _width, _conditions):
        z = keras.Input((latent,))
        x = keras.layers.Dense(math.prod(image_shape), activation="sigmoid")(z)
        return keras.Model(z, keras.layers.Reshape(image_shape)(x))

    def discriminator(image_shape, _width, _conditions, san):
        image, noise = keras.Input(image_shape), keras.Input((16,))
        x = keras.layers.Dense(16, activation="softplus")(keras.layers.Flatten()(image))
        x = Dropout(0.4)([x, noise])
        return keras.Model([image, noise], logit(lambda count: keras.layers.Dense(count)(x), x, [], san))

    return Family(generator, discriminator)


def with_plain_descent(gan, learning_rate):
    """The same networks, updated by SGD, so that an update is the gradient."""
    g_descent, d_descent = (keras.optimizers.SGD(learning_rate) for _ in range(2))
    return replace(gan, g_optimizer=g_descent, d_optimizer=d_descent)


@contextmanager
def unrounded_parts_in(floats):
    before, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(floats)
    try:
        yield
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(policy)


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])
