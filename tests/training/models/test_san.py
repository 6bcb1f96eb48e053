"""SAN's last layer against its formulas, written out in float64 NumPy."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.small_gan import METHOD, SHAPE, flat, labels_of, photos, with_plain_descent
from training.batch import Batch
from training.models.gan import Progress, build
from training.models.networks import FAMILIES
from training.models.networks.conditioning import SlicedLogit
from training.models.noise import Noise, Purpose
from training.models.precision import computing_in
from training.models.step import replica_step
from training.presets import CosineSchedule

RNG = np.random.default_rng(0)
FEATURES, LABELS = RNG.normal(size=(5, 7)), np.where(RNG.random((5, 2)) < 0.5, -1.0, 1.0)


@pytest.mark.parametrize("labels", [[], [LABELS]], ids=["plain", "conditional"])
def test_features_learn_from_the_first_logit_and_the_direction_from_the_second(labels):
    layer = SlicedLogit(dtype="float64")
    inputs = [tf.constant(array) for array in (FEATURES, *labels)]
    layer(inputs)
    vectors = RNG.normal(size=layer.vectors.shape)
    layer.vectors.assign(vectors)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs[0])
        logits = layer(inputs)
        first, second = tf.reduce_sum(logits[:, 0]), tf.reduce_sum(logits[:, 1])

    signs = np.concatenate([np.ones((5, 1)), *labels], 1)
    sums = signs @ vectors
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    directions = sums / lengths
    expected = (FEATURES * directions).sum(1)
    np.testing.assert_allclose(logits, np.stack([expected, expected], 1), rtol=1e-12)
    np.testing.assert_allclose(tape.gradient(first, inputs[0]), directions, rtol=1e-12)
    assert not np.any(tape.gradient(second, inputs[0])) and not np.any(tape.gradient(first, layer.vectors.value))
    # What lies across the direction turns it.
    across = (FEATURES - expected[:, None] * directions) / lengths
    np.testing.assert_allclose(tape.gradient(second, layer.vectors.value), signs.T @ across, rtol=1e-10)


@pytest.mark.parametrize("conditions", [0, 2])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_discriminator_ends_in_it_where_san_is_asked_for(name, conditions):
    with computing_in("bfloat16"):  # the end is float32 all the same
        network = FAMILIES[name].discriminator(SHAPE, 0.125, conditions, san=True)
    end = network.layers[-1]
    assert isinstance(end, SlicedLogit)
    assert network.trainable_weights[-1] is end.vectors
    assert end.vectors.shape == (1 + conditions, end.input[0].shape[-1] if conditions else end.input.shape[-1])
    assert network.output.dtype == "float32"
    assert network.output.shape == (None, 2)


def test_a_step_is_the_loss_of_the_features_and_the_means_apart_along_the_direction():
    """D's update, by SGD with rate 1, is the gradient of both; what is reported is the adversarial loss alone."""
    method = replace(METHOD, loss="relativistic", san=True, r1_gamma=CosineSchedule(1.0), r2_gamma=CosineSchedule(1.0))
    labels = tf.constant(labels_of(photos()[0]))
    gan = with_plain_descent(build(method, SHAPE, 5, Progress(5), 2), 1.0)
    discriminator = gan.discriminator
    noise = Noise(5, tf.constant(0, tf.int64), 0, METHOD.batch_size)
    fake = gan.generator([noise.latent(METHOD.latent, "uniform"), labels], training=True)
    real = tf.constant(photos()[0] / np.float32(255))
    end = next(layer for layer in discriminator.layers if isinstance(layer, SlicedLogit))
    features = keras.Model(discriminator.inputs, end.input[0])

    def of(images, purpose):
        drawn = [noise.uniform(purpose, entry.shape[1:], n) for n, entry in enumerate(discriminator.inputs[1:3])]
        with tf.GradientTape() as slope:
            slope.watch(images)
            hidden = features([images, *drawn, labels])
            logits = tf.reduce_sum(hidden * tf.stop_gradient(direction), 1)
        return hidden, logits, tf.reduce_sum(slope.gradient(logits, images) ** 2, [1, 2, 3]) / 4

    with tf.GradientTape() as tape:
        signs = tf.concat([tf.ones([METHOD.batch_size, 1]), labels], 1)
        direction = tf.math.l2_normalize(signs @ end.vectors.value, 1)
        real_features, real_logits, real_slope = of(real, Purpose.DISCRIMINATOR_REAL)
        fake_features, fake_logits, fake_slope = of(fake, Purpose.DISCRIMINATOR_FAKE)
        loss = tf.nn.softplus(fake_logits - real_logits)
        apart = tf.reduce_sum(tf.stop_gradient(fake_features - real_features) * direction, 1)
        total = tf.reduce_mean(loss + (real_slope + fake_slope) / 2 + apart)
    before = [weight.numpy() for weight in discriminator.trainable_variables]
    slopes = tape.gradient(total, [weight.value for weight in discriminator.trainable_variables])
    moved = [weight - slope for weight, slope in zip(before, slopes, strict=True)]

    batch = Batch(tf.constant(photos()[0]), labels)
    values = replica_step(gan, method, 5, 1)([batch], tf.constant(0, tf.int64))
    np.testing.assert_allclose(values[0], tf.reduce_mean(loss), rtol=1e-5)
    np.testing.assert_allclose(flat(discriminator.trainable_variables), flat(moved), atol=1e-5)
