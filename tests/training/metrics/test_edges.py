import numpy as np
import pytest

from training.metrics import distances, kid, prdc


def test_a_point_on_the_edge_of_a_ball_lies_in_it():
    """Features that are whole numbers meet the edge; Kynkaanniemi et al.'s equation 2 has "at most"."""
    real, fake = np.array([[0.0], [4.0], [8.0]]), np.array([[2.0], [12.0], [12.5]])
    radii = np.array([2.0, 1.0, 4.0])  # [-2, 2], [3, 5], [4, 12]
    assert prdc.precision(real, radii, fake) == pytest.approx(2 / 3)
    assert prdc.density(real, radii, fake, 1) == pytest.approx(2 / 3)
    assert prdc.coverage(real, radii, fake) == pytest.approx(2 / 3)


def test_the_nearest_of_many_are_found():
    x = np.random.default_rng(0).normal(size=(1_500, 3))  # of few numbers NumPy sorts more than it is asked to
    every = np.sqrt(((x[:, None] - x) ** 2).sum(-1))
    expected = np.sort(every, axis=1)[:, 1:]
    for most in (1, 2, 5, 50):
        np.testing.assert_allclose(distances.neighbour_distances(x, most), expected[:, :most], rtol=1e-6, atol=1e-9)


def test_the_error_of_kid_is_that_of_its_subsets(monkeypatch):
    monkeypatch.setattr(kid, "SUBSETS", 4)
    monkeypatch.setattr(kid, "SUBSET_SIZE", 30)
    estimates = iter([1.0, 2.0, 4.0, 9.0])
    monkeypatch.setattr(kid, "mmd2", lambda real, fake: next(estimates))
    value, error = kid.distance(np.zeros((100, 2)), np.zeros((120, 2)))
    assert value == 4.0
    # Of a sample of 4 the variance is the sum of squares over 3: 9 + 4 + 0 + 25. Subsets of 30 out of 100.
    assert error == pytest.approx((38 / 3) ** 0.5 * (30 / 70) ** 0.5)
