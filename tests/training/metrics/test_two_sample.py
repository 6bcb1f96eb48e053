import numpy as np
import pytest
from scipy.stats import norm

from training.metrics import two_sample


def normal(count, seed, shift=0.0):
    """Of correlated coordinates of very different scales; the first is shifted by so many standard deviations."""
    x = np.random.default_rng(seed).normal(size=(count, 5))
    x[:, 0] += shift
    return (x @ np.diag([1e-3, 1.0, 5.0, 1e4, 1.0]) + 7.0).astype(np.float32)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_normal_samples_are_told_apart_as_often_as_the_best_classifier_does(shift):
    accuracy, error = two_sample.accuracy(normal(4_000, 0), normal(4_000, 1, shift))
    best = norm.cdf(shift / 2)
    assert accuracy == pytest.approx(100 * best, abs=3 * error)
    assert error == pytest.approx(100 * (best * (1 - best) / 4_000) ** 0.5, rel=0.05)


def test_samples_that_a_plane_parts_are_always_told_apart_and_a_constant_feature_does_no_harm():
    first, second = normal(100, 0), normal(100, 1, 50.0)
    first[:, 4] = second[:, 4] = 3.0
    assert two_sample.accuracy(first, second) == (100.0, 0.0)


def test_what_is_only_learnt_by_heart_is_not_told_apart():
    wide = [np.random.default_rng(seed).normal(size=(200, 190)).astype(np.float32) for seed in (0, 1)]
    accuracy, error = two_sample.accuracy(*wide)
    assert accuracy == pytest.approx(50, abs=3 * error)


def test_the_regression_is_at_its_minimum():
    rng = np.random.default_rng(0)
    x, classes = rng.normal(size=(60, 3)), np.repeat([-1.0, 1.0], 30)
    x[30:] += 0.7
    weights, bias = two_sample.fit(x, classes)

    def loss(w, b):
        return np.log1p(np.exp(-classes * (x @ w + b))).sum() + 0.5 * w @ w

    for step in (*np.eye(4), *-np.eye(4)):
        assert loss(weights, bias) < loss(weights + 0.01 * step[:3], bias + 0.01 * step[3])
