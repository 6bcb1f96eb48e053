import numpy as np
import pytest
import scipy.linalg

from training.metrics.frechet import Gaussian, distance


def features(count, width, seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width)
    return rows.astype(np.float32)


def by_scipy(real, fake):
    first, second = (np.atleast_2d(np.cov(x.astype(np.float64), rowvar=False)) for x in (real, fake))
    offset = real.astype(np.float64).mean(axis=0) - fake.astype(np.float64).mean(axis=0)
    return offset @ offset + np.trace(first + second - 2 * scipy.linalg.sqrtm(first @ second).real)


@pytest.mark.parametrize("width", [1, 2, 30])
def test_it_is_what_scipys_matrix_root_gives(width):
    real, fake = features(200, width, 0), features(300, width, 1)
    assert distance(Gaussian.of(real), Gaussian.of(fake)) == pytest.approx(by_scipy(real, fake), rel=1e-6)


def test_closed_form_of_distributions_along_the_axes():
    rng = np.random.default_rng(0)
    means, deviations = rng.normal(size=(2, 8)), rng.uniform(0, 2, size=(2, 8))
    deviations[0, 0] = 0.0
    expected = np.square(means[0] - means[1]).sum() + np.square(deviations[0] - deviations[1]).sum()
    gaussians = [Gaussian(m, np.diag(d**2)) for m, d in zip(means, deviations, strict=True)]
    assert distance(*gaussians) == pytest.approx(expected, rel=1e-12)


def test_no_distance_to_itself_even_with_fewer_images_than_features():
    for count in (20, 400):
        gaussian = Gaussian.of(features(count, 100, 0))
        assert 0 <= distance(gaussian, gaussian) < 1e-9 * np.trace(gaussian.covariance)


def test_singular_covariances_stay_real_and_symmetric():
    few, fewer = features(12, 60, 0), features(9, 60, 1)
    there, back = (distance(Gaussian.of(a), Gaussian.of(b)) for a, b in ((few, fewer), (fewer, few)))
    assert there == pytest.approx(back, rel=1e-9)
    assert there == pytest.approx(by_scipy(few, fewer), rel=1e-4)
