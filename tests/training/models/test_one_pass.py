"""Photos and generated images go through D together where it takes each image for itself, else apart."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from training.models.gan import GAN, OptimizedNetwork, build
from training.models.losses import LOSSES
from training.models.noise import Noise, Purpose
from training.models.objective import Objective
from training.models.penalties import logits_and_squared_gradient
from training.models.progress import Progress
from training.presets import PRESETS
from training.schedule import CosineSchedule

SHAPE, BATCH = (16, 16, 1), 4
GAMMAS = {"r1_gamma": CosineSchedule(3.0), "r2_gamma": CosineSchedule(5.0)}
R1_ALONE = {"r1_gamma": CosineSchedule(3.0), "r2_gamma": CosineSchedule(0.0)}
NO_PENALTY = {"r1_gamma": CosineSchedule(0.0), "r2_gamma": CosineSchedule(0.0)}


@pytest.mark.parametrize(
    ("preset", "penalties", "passes"),
    [
        ("classic", GAMMAS, [2 * BATCH]),
        ("classic", NO_PENALTY, [2 * BATCH]),
        ("classic", R1_ALONE, [BATCH, BATCH]),
        ("lite", GAMMAS, [2 * BATCH]),
        ("r3gan", GAMMAS, [2 * BATCH]),
        ("wgan-gp", NO_PENALTY, [2 * BATCH]),
        ("dcgan", NO_PENALTY, [BATCH, BATCH]),  # BatchNormalization
        ("sngan", NO_PENALTY, [BATCH, BATCH]),  # spectral normalisation: a step of its power iteration a pass
    ],
)
def test_the_loss_is_that_of_passes_apart(preset, penalties, passes):
    method = replace(PRESETS[preset], precision="float32", width=0.125, augment="contrast", **penalties)
    method = replace(method, san=False, gradient_penalty=0.0, augment_probability=CosineSchedule(0.5))
    real, fake = tf.split(tf.constant(np.random.default_rng(0).random((2 * BATCH, *SHAPE), np.float32)), 2)
    noise = Noise(5, tf.constant(0, tf.int64), 0, BATCH)

    gan = build(method, SHAPE, 0, Progress())
    alone = Objective(gan, method, jit=False)
    logits, penalty = [], 0.0
    for images, purpose, gamma in (
        (real, Purpose.DISCRIMINATOR_REAL, method.r1_gamma),
        (fake, Purpose.DISCRIMINATOR_FAKE, method.r2_gamma),
    ):
        discriminate = alone._discriminator(None, noise, [purpose], tf.ones([]))
        of_images, squared = (
            (discriminate(images), 0.0) if gamma.is_zero else logits_and_squared_gradient(discriminate, images)
        )
        logits.append(of_images[:, 0])
        penalty += gamma.start / 2 * squared * method.penalty_every

    gan, seen = spied_on(build(method, SHAPE, 0, Progress()))
    loss, found = Objective(gan, method, jit=False).discriminator_loss(
        real, fake, None, noise, tf.ones([]), penalised=True
    )
    np.testing.assert_allclose(loss, LOSSES[method.loss].discriminator(*logits), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found, penalty + tf.zeros([BATCH]), rtol=1e-4, atol=1e-9)
    assert seen == passes


def spied_on(gan):
    """The same networks, and a list that each pass of D adds the number of its images to."""
    network, seen = gan.discriminator.network, []
    spy = keras.Model(network.inputs, network.outputs)
    spy.call = lambda inputs, **kwargs: (seen.append(inputs[0].shape[0]), network(inputs, **kwargs))[1]
    return GAN(gan.generator, OptimizedNetwork(spy, gan.discriminator.optimizer), gan.generator_ema), seen
