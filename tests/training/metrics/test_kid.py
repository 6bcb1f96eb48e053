import itertools

import numpy as np
import pytest

from training.metrics import kid


def by_definition(real, fake):
    def kernel(x, y):
        return (float(np.dot(x, y)) / len(x) + 1) ** 3

    pairs = list(itertools.permutations(range(len(real)), 2))
    within = sum(kernel(x[i], x[j]) for x in (real, fake) for i, j in pairs) / len(pairs)
    return within - 2 * np.mean([kernel(x, y) for x in real for y in fake])


def sets(count, width, seed, shift=0.3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)), rng.normal(shift, 1.0, size=(count, width))


def test_mmd2_is_the_definition():
    real, fake = sets(12, 5, 0)
    assert kid.mmd2(real, fake) == pytest.approx(by_definition(real, fake), rel=1e-10)


def test_it_is_free_of_bias():
    # Closed form for one feature: E k(x, y) = E (xy + 1)^3 with normal x and y of means a and b.
    def expected_kernel(a, b):
        second, third = [m * m + 1 for m in (a, b)], [m**3 + 3 * m for m in (a, b)]
        return third[0] * third[1] + 3 * second[0] * second[1] + 3 * a * b + 1

    expected = expected_kernel(0, 0) + expected_kernel(0.5, 0.5) - 2 * expected_kernel(0, 0.5)
    estimates = [kid.mmd2(*sets(20, 1, seed, shift=0.5)) for seed in range(2000)]
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - expected) < 4 * error
    assert error < 0.1 * expected


def test_the_standard_error_is_that_of_the_estimate(monkeypatch):
    monkeypatch.setattr(kid, "SUBSET_SIZE", 40)  # below a half, so that n - b is not b
    monkeypatch.setattr(kid, "SUBSETS", 20)
    estimates, errors = zip(*(kid.distance(*sets(120, 4, seed)) for seed in range(150)), strict=True)
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.3)


def test_no_image_is_in_a_subset_twice(monkeypatch):
    counts = []
    monkeypatch.setattr(
        kid, "mmd2", lambda real, fake: counts.append((len(np.unique(real)), len(np.unique(fake)))) or 0.0
    )
    kid.distance(np.arange(90.0)[:, None], np.arange(80.0)[:, None])
    assert set(counts) == {(40, 40)}
