"""Half of the photos that the networks see are mirrored, where that is asked for."""

from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from tests.training.small_gan import METHOD, SHAPE
from training.batch import Batch
from training.models.gan import GAN, OptimizedNetwork, build
from training.models.noise import Noise, Purpose
from training.models.objective import Objective
from training.models.progress import Progress
from training.models.step import replica_step


def test_flip_mirrors_about_half_of_the_photos():
    method = replace(METHOD, flip=True, batch_size=64)
    left_to_right = np.tile(np.linspace(0, 255, 16, dtype=np.uint8)[None, None, :, None], (64, 16, 1, 1))
    seen = []
    gan = build(method, SHAPE, 0, Progress())
    network = gan.discriminator.network
    spy = keras.Model(network.inputs, network.outputs)
    spy.call = lambda inputs, **kwargs: (seen.append(inputs[0].numpy()), network(inputs, **kwargs))[1]
    gan = GAN(gan.generator, OptimizedNetwork(spy, gan.discriminator.optimizer), gan.generator_ema)
    replica_step(gan, method, 0, 1)([Batch(tf.constant(left_to_right))], tf.constant(0, tf.int64))
    photos, _ = np.split(seen[0], 2)  # and generated images beside them
    mirrored = photos[:, 0, 0, 0] > 0.5
    assert 16 < mirrored.sum() < 48
    np.testing.assert_allclose(photos[mirrored], left_to_right[mirrored][:, :, ::-1] / 255, rtol=1e-6)


def test_every_second_photo_is_mirrored_and_each_batch_of_a_step_by_its_own_draw():
    objective = Objective(build(METHOD, SHAPE, 0, Progress()), replace(METHOD, flip=True), jit=False)
    pixels = tf.constant(np.arange(16, dtype=np.uint8)[None, None, :, None] * np.ones((4_000, 1, 1, 1), np.uint8))
    noise = Noise(0, tf.constant(0, tf.int64), 0, 4_000)
    mirrored = [objective.real_images(pixels, noise, batch).numpy()[:, 0, 0, 0] > 0 for batch in (0, 1)]
    for flips in mirrored:
        assert abs(flips.mean() - 0.5) < 0.03  # four standard errors
    # Those whose number lies in the lower half stay: a run of an older version that goes on mirrors the same photos.
    np.testing.assert_array_equal(mirrored[1], noise.uniform(Purpose.FLIP, (1,), 1).numpy()[:, 0] >= 0.5)
    assert abs((mirrored[0] == mirrored[1]).mean() - 0.5) < 0.03
    untouched = Objective(build(METHOD, SHAPE, 0, Progress()), METHOD, jit=False).real_images(pixels, noise, 0)
    np.testing.assert_allclose(untouched, pixels.numpy() / 255, rtol=1e-6)
