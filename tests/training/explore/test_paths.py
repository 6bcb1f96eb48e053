import numpy as np
import pytest

from training.explore.paths import walk

NORMAL = np.random.default_rng(0).standard_normal((3, 2, 64)).astype(np.float32)
UNIFORM = np.random.default_rng(0).uniform(-1, 1, (3, 2, 64)).astype(np.float32)


@pytest.mark.parametrize(("stops", "distribution"), [(NORMAL, "normal"), (UNIFORM, "uniform")])
@pytest.mark.parametrize("is_loop", [True, False])
def test_it_stands_at_each_stop_after_as_many_frames(stops, distribution, is_loop):
    z = walk(stops, 10, distribution, is_loop)
    assert (z.dtype, z.shape) == (np.float32, (30 if is_loop else 21, 2, 64))
    for index in range(3):
        np.testing.assert_allclose(z[10 * index], stops[index], atol=1e-6)


def test_normal_z_keep_a_length_that_is_usual():
    """A straight line would pass through lengths of 0.7 times those of its ends: no normal z of 64 is so short."""
    lengths = np.linalg.norm(walk(NORMAL, 20, "normal", is_loop=True), axis=2)
    assert lengths.min() > 0.9 * np.linalg.norm(NORMAL, axis=2).min()
    assert lengths.max() < 1.1 * np.linalg.norm(NORMAL, axis=2).max()


def test_halfway_on_the_sphere_is_as_far_from_both_ends():
    start, end = NORMAL[:2, :1]
    middle = walk(NORMAL[:2, :1], 10, "normal", is_loop=False)[5]
    unit = [z / np.linalg.norm(z) for z in (start, end)]
    angle = np.arccos((unit[0] * unit[1]).sum())
    expected = np.sin(angle / 2) / np.sin(angle) * (start + end)
    np.testing.assert_allclose(middle, expected, rtol=1e-5)


def test_uniform_z_go_along_a_line_within_their_cube():
    z = walk(UNIFORM, 8, "uniform", is_loop=True)
    assert np.abs(z).max() <= 1
    share = (1 - np.cos(np.pi * 3 / 8)) / 2
    np.testing.assert_allclose(z[3], UNIFORM[0] + share * (UNIFORM[1] - UNIFORM[0]), atol=1e-6)


def test_each_leg_begins_and_ends_slowly():
    steps = np.linalg.norm(np.diff(walk(UNIFORM, 20, "uniform", is_loop=False)[:, 0], axis=0), axis=1)
    for leg in (steps[:20], steps[20:]):
        assert leg[0] < leg[9] / 5
        assert leg[-1] < leg[9] / 5


def test_a_face_that_stands_leaves_the_others_on_their_sphere():
    stops = NORMAL[:2].copy()
    stops[1, 0] = stops[0, 0]
    z = walk(stops, 10, "normal", is_loop=False)
    np.testing.assert_allclose(z[:, 0], np.tile(stops[0, 0], (11, 1)), rtol=1e-6)
    np.testing.assert_allclose(z[:, 1], walk(stops[:, 1:], 10, "normal", is_loop=False)[:, 0], rtol=1e-6)


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_between_equal_z_it_stands(distribution):
    same = np.repeat(NORMAL[:1], 2, axis=0)
    np.testing.assert_allclose(walk(same, 5, distribution, is_loop=True), np.repeat(same[:1], 10, axis=0), rtol=1e-6)
