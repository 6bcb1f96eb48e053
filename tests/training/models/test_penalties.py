"""Penalties against closed forms."""

import numpy as np
import tensorflow as tf

from training.models.step import gradient_penalty, outputs_and_squared_gradient

RANDOM = np.random.default_rng(0)
IMAGES = tf.constant(RANDOM.uniform(size=(3, 4, 4, 2)), tf.float32)
FAKES = tf.constant(RANDOM.uniform(size=(3, 4, 4, 2)), tf.float32)
MIX = tf.constant([0.0, 0.3, 1.0], shape=(3, 1, 1, 1))
WEIGHTS = RANDOM.normal(size=(4, 4, 2))


def linear(images):
    """Its slope is the weights, everywhere; on [-1, 1] half of that."""
    return logit(images * tf.constant(WEIGHTS, tf.float32))


def quadratic(images):
    return logit(tf.square(images))


def logit(terms):
    return tf.reduce_sum(terms, axis=[1, 2, 3])[:, None]


def test_the_slope_of_a_linear_discriminator_is_its_weights():
    logits, squared = outputs_and_squared_gradient(linear, IMAGES)
    np.testing.assert_allclose(logits[:, 0], np.sum(IMAGES * WEIGHTS, axis=(1, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(squared, np.full(3, np.sum(np.square(WEIGHTS / 2))), rtol=1e-5)


def test_slopes_are_each_image_s_own():
    _, squared = outputs_and_squared_gradient(quadratic, IMAGES)
    np.testing.assert_allclose(squared, np.sum(np.square(IMAGES), axis=(1, 2, 3)), rtol=1e-5)


def test_the_penalty_between_is_taken_where_the_mix_says():
    penalty = gradient_penalty(quadratic, IMAGES, FAKES, MIX)
    mixed = IMAGES.numpy() + MIX.numpy() * (FAKES.numpy() - IMAGES.numpy())
    length = np.sqrt(np.sum(np.square(mixed), axis=(1, 2, 3)))  # 2x, halved for [-1, 1]
    np.testing.assert_allclose(penalty, np.square(length - 1), rtol=1e-4)


def test_a_flat_critic_has_a_finite_gradient():
    slope = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        penalty = tf.reduce_sum(gradient_penalty(lambda images: slope * linear(images), IMAGES, FAKES, MIX))
    assert np.isfinite(tape.gradient(penalty, slope).numpy())


def test_the_penalty_s_own_gradient_reaches_the_weights():
    """d/dw of |w/2|^2 is w/2."""
    weights = tf.Variable(WEIGHTS, dtype=tf.float32)
    with tf.GradientTape() as tape:
        _, squared = outputs_and_squared_gradient(lambda images: logit(images * weights), IMAGES)
        mean = tf.reduce_mean(squared)
    np.testing.assert_allclose(tape.gradient(mean, weights), WEIGHTS / 2, rtol=1e-5)
