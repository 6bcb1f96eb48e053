from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from training.batch import Batch
from training.models import step as steps
from training.models.gan import Progress, build
from training.models.noise import Noise, Purpose, latent
from training.presets import PRESETS, CosineSchedule


def noise(first=0, batch=12, step=3, seed=0):
    return Noise(seed, tf.constant(step, tf.int64), first, batch)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5,), (4, 4, 3)])
def test_replicas_draw_the_rows_of_one_global_batch(shape):
    whole = noise().uniform(Purpose.GENERATOR, shape)
    parts = [noise(first, 4).uniform(Purpose.GENERATOR, shape) for first in (0, 4, 8)]
    assert whole.shape == (12, *shape)
    assert np.array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_replicas_draw_their_own_latents(distribution):
    whole = noise().latent(10, distribution)
    parts = [noise(first, 4).latent(10, distribution) for first in (0, 4, 8)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert len(np.unique(whole.numpy().round(6), axis=0)) == 12


def test_every_seed_step_purpose_and_stream_has_numbers_of_its_own():
    draws = [
        noise().uniform(Purpose.GENERATOR, (8,)),
        noise(seed=1).uniform(Purpose.GENERATOR, (8,)),
        noise(step=4).uniform(Purpose.GENERATOR, (8,)),
        noise().uniform(Purpose.FLIP, (8,)),
        noise().uniform(Purpose.GENERATOR, (8,), stream=1),
    ]
    assert len({draw.numpy().tobytes() for draw in draws}) == len(draws)


def test_the_distributions_are_what_they_are_called():
    uniform = latent((0, 1), 0, 4000, 100, "uniform").numpy()
    normal = latent((0, 1), 0, 4000, 100, "normal").numpy()
    # 400,000 numbers: the standard error of a mean is under 0.002, of a variance under 0.003.
    assert abs(uniform.mean()) < 0.008
    assert abs(uniform.var() - 1 / 3) < 0.004
    assert -1 <= uniform.min() < -0.999 < 0.999 < uniform.max() < 1
    assert abs(normal.mean()) < 0.008
    assert abs(normal.var() - 1) < 0.012
    assert abs((normal**4).mean() - 3) < 0.1
    assert np.isfinite(normal).all()


def test_no_purpose_shares_a_stream_with_another(monkeypatch):
    """Else D could learn from one draw what another did to its images."""
    for preset in ("classic", "r3gan"):
        method = replace(PRESETS[preset], batch_size=4, augment="brightness,contrast", gradient_penalty=1.0, flip=True)
        method, drawn = replace(method, width=0.0625, augment_probability=CosineSchedule(1.0)), []

        class Recorder(Noise):
            def uniform(self, purpose, shape, stream=0, drawn=drawn):
                drawn.append((purpose, stream))
                return super().uniform(purpose, shape, stream)

        monkeypatch.setattr(steps, "Noise", Recorder)
        step = steps.replica_step(build(method, (8, 8, 1), 0, Progress(5)), method, 0, 1)
        step([Batch(tf.zeros([4, 8, 8, 1], tf.uint8))] * 2, tf.constant(0, tf.int64))
        assert len(drawn) == len(set(drawn)) > 4, preset


@pytest.mark.parametrize("size", [1, 3, 4, 5, 8, 100])
def test_a_row_is_the_next_numbers_of_the_stream_from_a_whole_counter_on(size):
    """A counter of Philox gives four numbers, so a row of five takes two."""
    seed = tf.zeros(2, tf.int32)
    for part in (7, 3, int(Purpose.GENERATOR), 0):
        seed = tf.random.fold_in(seed, tf.constant(part, tf.int64))
    stream = tf.random.stateless_uniform([12 * 100], seed, alg="philox").numpy()
    taken = 4 * -(-size // 4)
    rows = stream[: 12 * taken].reshape(12, taken)[:, :size]
    assert np.array_equal(noise(seed=7).uniform(Purpose.GENERATOR, (size,)), rows)
    assert np.array_equal(noise(first=5, batch=4, seed=7).uniform(Purpose.GENERATOR, (size,)), rows[5:9])
