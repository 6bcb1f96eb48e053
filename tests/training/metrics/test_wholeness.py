"""Oddness against SciPy's Mahalanobis distance, and the order in which it puts broken pictures."""

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from training.metrics import wholeness
from training.metrics.wholeness import PatchGaussians, broken_share

RANDOM = np.random.default_rng(0)
MIXTURE = RANDOM.normal(size=(3, 4, 4))
USUAL = np.einsum("npc,pcd->npd", RANDOM.normal(size=(500, 3, 4)), MIXTURE) + np.arange(4.0)


def test_oddness_is_the_squared_mahalanobis_distance_the_mean_over_places(monkeypatch):
    monkeypatch.setattr(wholeness, "SHRINKAGE", 0.0)
    images = USUAL[:5] + RANDOM.normal(size=(5, 3, 4))
    oddness = PatchGaussians.of(USUAL.astype(np.float32)).anomaly_score(images.astype(np.float32))
    for image, value in zip(images, oddness, strict=True):
        places = USUAL.transpose(1, 0, 2)
        expected = [
            mahalanobis(at, usual.mean(0), np.linalg.inv(np.cov(usual.T))) ** 2
            for at, usual in zip(image, places, strict=True)
        ]
        assert value == pytest.approx(np.mean(expected), rel=1e-4)


def test_fewer_images_than_features_have_an_oddness_too():
    gaussians = PatchGaussians.of(USUAL[:3])
    assert np.isfinite(gaussians.anomaly_score(USUAL)).all()
    assert gaussians.anomaly_score(USUAL[3:]).mean() > gaussians.anomaly_score(USUAL[:3]).mean()


def test_the_share_of_broken_images_grows_with_how_many_are_odd():
    odd = USUAL + 9 * RANDOM.normal(size=USUAL.shape)
    shares = [broken_share(USUAL, np.concatenate([odd[:count], USUAL[count:]])) for count in (0, 125, 250, 500)]
    assert shares == sorted(shares)
    assert 0.1 < shares[0] < 0.3, "of images that are as odd as the real ones"
    assert shares[-1] > 0.9
    assert shares[2] - shares[1] == pytest.approx(0.25 * (shares[-1] - shares[0]), abs=0.05)
