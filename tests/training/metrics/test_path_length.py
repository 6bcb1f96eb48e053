import keras
import numpy as np
import pytest
import tensorflow as tf

from training.metrics import efficientnet, path_length

COUNT, LATENT = 20_000, 6


def ends(distribution):
    rng = np.random.default_rng(0)
    shape = (2, COUNT, LATENT)
    z = rng.uniform(-1, 1, shape) if distribution == "uniform" else rng.normal(size=shape)
    return z.astype(np.float32)


@pytest.mark.parametrize(("distribution", "variance"), [("normal", (np.pi / 2) ** 2), ("uniform", 2 / 3)])
def test_a_linear_generator_has_the_length_of_its_matrix(distribution, variance):
    layer = keras.layers.Dense(9)
    z = keras.Input((LATENT,))
    generator = keras.Model(z, layer(z))
    points, velocities = path_length.paths(ends(distribution), distribution)
    speeds = path_length.lengths(generator, tf.identity, points[:500], velocities[:500])
    matrix = layer.kernel.numpy()
    assert speeds == pytest.approx(np.sum((velocities[:500] @ matrix) ** 2, axis=1), rel=1e-4)
    # The mean over all paths: each of the velocity's numbers has this variance, and all are independent.
    assert np.mean((velocities @ matrix) ** 2) * 9 == pytest.approx(variance * np.sum(matrix**2), rel=0.02)


def test_paths_run_from_end_to_end_through_z_of_the_same_distribution():
    normal, velocities = path_length.paths(ends("normal"), "normal")
    assert normal.var() == pytest.approx(1, rel=0.02)
    assert np.corrcoef(normal.ravel(), velocities.ravel())[0, 1] == pytest.approx(0, abs=0.02)
    first, second = ends("uniform")
    uniform, across = path_length.paths(np.stack([first, second]), "uniform")
    share = (uniform - first) / across
    assert np.ptp(share[np.abs(across).min(1) > 0.1], axis=1).max() < 1e-4  # one t for all numbers of a z
    assert 0 <= np.median(share, axis=1).min() < 0.01 < 0.99 < np.median(share, axis=1).max() <= 1


def test_the_speed_is_that_at_the_point_and_labels_stay_along_a_path():
    z, labels = keras.Input((LATENT,)), keras.Input((LATENT,))
    generator = keras.Model([z, labels], z * z * labels)
    points, velocities = path_length.paths(ends("normal")[:, :50], "normal")
    given = np.random.default_rng(1).choice([-1.0, 3.0], points.shape).astype(np.float32)
    expected = np.sum((2 * points * velocities * given) ** 2, axis=1)
    assert path_length.lengths(generator, tf.identity, points, velocities, given) == pytest.approx(expected, rel=1e-4)


def test_the_derivative_through_the_network_is_what_finite_differences_come_near():
    z = keras.Input((4,))
    generator = keras.Model(
        z,
        keras.layers.Reshape((8, 8, 3))(
            keras.layers.Dense(192, "sigmoid", kernel_initializer=keras.initializers.GlorotUniform(seed=0))(z)
        ),
    )
    points, velocities = (np.random.default_rng(seed).normal(size=(8, 4)).astype(np.float32) for seed in (0, 1))
    step = 1e-2
    after, before = (efficientnet.perceptual(generator(points + sign * step / 2 * velocities)) for sign in (1, -1))
    expected = tf.reduce_sum(((after - before) / step) ** 2, (1, 2)).numpy()
    speeds = path_length.lengths(generator, efficientnet.perceptual, points, velocities)
    assert speeds == pytest.approx(expected, rel=0.05)


def test_the_longest_and_the_shortest_are_left_out():
    values = np.concatenate([np.full(98, 5.0), [1e9, 0.0]]).astype(np.float32)
    values[:49] = 3.0
    assert path_length.mean_and_error(np.concatenate([values[:98], [4.0, 4.0]]))[0] == pytest.approx(4)
    mean, error = path_length.mean_and_error(np.append(np.tile(values[:98], 10), [1e9, -1e9, 0.0, 9e9]))
    assert (mean, error) == (pytest.approx(4), pytest.approx(1 / 980**0.5))
