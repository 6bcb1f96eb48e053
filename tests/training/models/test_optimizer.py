"""The ramps of settings, Adam and the moving average, each against its formula."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tests.training.small_gan import METHOD, SHAPE, flat
from training.models.gan import Progress, build, update_ema
from training.models.optimizer import cosine_decay
from training.presets import CosineSchedule


def test_ramps_fall_along_half_a_cosine_over_ramp_kimg():
    method = replace(METHOD, ramp_kimg=0.8)  # 100 steps of 8
    ramp = CosineSchedule(2e-4, 5e-5)
    values = [float(ramp.at(cosine_decay(method, tf.constant(step, tf.int64)))) for step in (0, 25, 50, 100, 1000)]
    cosine = [5e-5 + 1.5e-4 * (1 + np.cos(np.pi * part)) / 2 for part in (0, 0.25, 0.5, 1, 1)]
    np.testing.assert_allclose(values, cosine, rtol=1e-5)
    assert float(cosine_decay(METHOD, tf.constant(7, tf.int64))) == 1.0
    assert CosineSchedule(0.3).at(0.5) == 0.3


@pytest.mark.parametrize("epsilon", [None, 0.5])
def test_adam_takes_rate_and_beta_2_of_the_step(epsilon):
    """Against Adam written out in float64, Kingma and Ba 2015, algorithm 1, with both changing."""
    rates, beta_2s = CosineSchedule(1e-2, 1e-3), CosineSchedule(0.5, 0.99)
    method = replace(METHOD, ramp_kimg=0.08, lr_d=rates, beta_2=beta_2s, beta_1=0.3, epsilon=epsilon)
    progress = Progress(5)
    gan = build(method, SHAPE, 5, progress)
    variable, *others = gan.discriminator.trainable_variables
    weight, m, v = variable.numpy().astype(np.float64), 0.0, 0.0
    gradients = np.random.default_rng(0).normal(size=(4, *weight.shape))
    progress.rollbacks.assign(1)  # halves the rates
    for step, gradient in enumerate(gradients):
        progress.step.assign(step)
        gradients_of_all = [tf.constant(gradient, tf.float32), *map(tf.zeros_like, others)]
        gan.d_optimizer.apply(gradients_of_all, gan.discriminator.trainable_variables)
        part = (1 + np.cos(np.pi * step / 10)) / 2
        rate, beta_2 = 0.5 * (1e-3 + 9e-3 * part), 0.99 - 0.49 * part
        m, v = 0.3 * m + 0.7 * gradient, beta_2 * v + (1 - beta_2) * gradient**2
        corrected = m / (1 - 0.3 ** (step + 1)), v / (1 - beta_2 ** (step + 1))
        weight -= rate * corrected[0] / (np.sqrt(corrected[1]) + (epsilon or 0))
    np.testing.assert_allclose(variable.numpy(), weight, rtol=1e-4)


def test_the_moving_average_follows_with_the_half_life():
    method = replace(METHOD, ema_kimg=CosineSchedule(1.0))
    gan = build(method, SHAPE, 5, Progress(5))
    strategy = tf.distribute.get_strategy()
    start = flat(gan.generator_ema.weights)
    for weight in gan.generator.weights:
        weight.assign_add(tf.ones_like(weight))
    update_ema(strategy, gan, tf.constant(1000.0), 1000)
    np.testing.assert_allclose(flat(gan.generator_ema.weights), start + 0.5, rtol=1e-5)  # statistics too
    update_ema(strategy, gan, tf.constant(0.0), 8)
    np.testing.assert_allclose(flat(gan.generator_ema.weights), flat(gan.generator.weights), rtol=1e-6)
