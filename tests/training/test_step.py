"""The update against the same update written out in float64 NumPy or plain Keras, and over several devices."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from training.noise import Noise, Purpose
from training.presets import PRESETS
from training.step import Pair, Player, build, replica_step
from training.strategy import Devices, mirrored

SHAPE = (16, 16, 1)
METHOD = replace(PRESETS["classic"], batch_size=8, latent=10)


def photos(steps=1):
    return np.random.default_rng(1).integers(0, 256, (steps, METHOD.batch_size, *SHAPE), dtype=np.uint8)


def run(method, steps, devices=1):
    """Losses of each step and the final weights, over so many logical devices."""
    names = [device.name for device in tf.config.list_logical_devices("CPU")[:devices]]
    strategy = mirrored(names) if devices > 1 else tf.distribute.OneDeviceStrategy(names[0])
    with strategy.scope():
        pair = build(method, SHAPE, seed=5)
    step = replica_step(pair, method, 5, devices)

    @tf.function
    def distributed(images, number):
        losses = strategy.run(step, args=(images, number))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    dataset = tf.data.Dataset.from_tensor_slices(photos(steps)).repeat()
    batches = Devices("any", strategy).batches(dataset)
    losses = [distributed(next(batches), tf.constant(n, tf.int64)).numpy() for n in range(steps)]
    return np.array(losses), weights(pair)


def weights(pair):
    return [w.numpy() for player in (pair.generator, pair.discriminator) for w in player.network.weights]


@pytest.mark.parametrize("method", [METHOD, replace(METHOD, clip_norm=0.1, flip=True)], ids=["plain", "clipped"])
@pytest.mark.parametrize("devices", [2, 4])
def test_a_run_is_the_same_run_on_any_number_of_devices(method, devices):
    losses, final = run(method, 3)
    losses_there, final_there = run(method, 3, devices)
    np.testing.assert_allclose(losses_there, losses, rtol=2e-5)
    for there, here in zip(final_there, final, strict=True):
        np.testing.assert_allclose(there, here, atol=2e-4)


def with_plain_descent(pair, learning_rate):
    """The same networks, updated by SGD, so that an update is the gradient."""
    players = (pair.generator, pair.discriminator)
    for player in players:
        assert isinstance(player.optimizer, keras.optimizers.Adam)
    return Pair(*(Player(player.network, keras.optimizers.SGD(learning_rate)) for player in players))


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


def one_descent(method):
    """Trainable weights of D and G before and after one step of SGD with rate 1."""
    pair = with_plain_descent(build(method, SHAPE, seed=5), 1.0)
    players = (pair.discriminator, pair.generator)
    before = [[v.numpy() for v in player.network.trainable_variables] for player in players]
    losses = replica_step(pair, method, 5, 1)(tf.constant(photos()[0]), tf.constant(0, tf.int64)).numpy()
    after = [[v.numpy() for v in player.network.trainable_variables] for player in players]
    return before, after, losses


def test_one_step_is_keras_cross_entropy_with_labels_one_and_zero_then_one_for_the_generator():
    """Against the tutorial's formulation: sigmoid, BinaryCrossentropy on labels, D first and G against the new D."""
    before, after, losses = one_descent(METHOD)
    networks = build(METHOD, SHAPE, seed=5)
    generator, discriminator = networks.generator.network, networks.discriminator.network
    noise = Noise(5, tf.constant(0, tf.int64), 0, METHOD.batch_size)
    cross_entropy = keras.losses.BinaryCrossentropy()
    ones, zeros = np.ones((METHOD.batch_size, 1)), np.zeros((METHOD.batch_size, 1))

    def probability(images, purpose):
        drawn = [noise.uniform(purpose, entry.shape[1:], n) for n, entry in enumerate(discriminator.inputs[1:])]
        return tf.sigmoid(discriminator([images, *drawn], training=True))

    real = tf.constant(photos()[0] / np.float32(255))
    with tf.GradientTape(persistent=True) as tape:
        fake = generator(noise.latent(METHOD.latent, "uniform"), training=True)
        d_loss = cross_entropy(ones, probability(real, Purpose.DISCRIMINATOR_REAL)) + cross_entropy(
            zeros, probability(fake, Purpose.DISCRIMINATOR_FAKE)
        )
    moved = [v - g for v, g in zip(before[0], tape.gradient(d_loss, discriminator.trainable_variables), strict=True)]
    np.testing.assert_allclose(losses[0], d_loss, rtol=1e-5)
    np.testing.assert_allclose(flat(after[0]), flat(moved), atol=1e-5)

    for variable, value in zip(discriminator.trainable_variables, moved, strict=True):
        variable.assign(value)
    with tape:
        g_loss = cross_entropy(ones, probability(fake, Purpose.GENERATOR))
    moved = [v - g for v, g in zip(before[1], tape.gradient(g_loss, generator.trainable_variables), strict=True)]
    np.testing.assert_allclose(losses[1], g_loss, rtol=1e-5)
    np.testing.assert_allclose(flat(after[1]), flat(moved), atol=1e-5)


def test_clip_norm_bounds_the_whole_update_of_each_network():
    before, after, _ = one_descent(replace(METHOD, clip_norm=0.01))
    for there, here in zip(after, before, strict=True):
        assert np.linalg.norm(flat(there) - flat(here)) == pytest.approx(0.01, rel=1e-3)


def test_flip_mirrors_about_half_of_the_photos():
    method = replace(METHOD, flip=True, batch_size=64)
    left_to_right = np.tile(np.linspace(0, 255, 16, dtype=np.uint8)[None, None, :, None], (64, 16, 1, 1))
    seen = []
    pair = build(method, SHAPE, seed=0)
    network = pair.discriminator.network
    spy = keras.Model(network.inputs, network.outputs)
    spy.call = lambda inputs, **kwargs: (seen.append(inputs[0].numpy()), network(inputs, **kwargs))[1]
    pair = Pair(pair.generator, Player(spy, pair.discriminator.optimizer))
    replica_step(pair, method, 0, 1)(tf.constant(left_to_right), tf.constant(0, tf.int64))
    mirrored = seen[0][:, 0, 0, 0] > 0.5
    assert 16 < mirrored.sum() < 48
    np.testing.assert_allclose(seen[0][mirrored], left_to_right[mirrored][:, :, ::-1] / 255, rtol=1e-6)
