"""Distances within a class, on features that are known."""

import numpy as np
import pytest

from training.metrics import Sample, frechet
from training.metrics.conditions import judge

WIDTH, COUNT = 4, 400


def sample(seed, with_it, offset=0.0):
    """Features of which the first tells the class apart; of images nothing is asked."""
    labels = np.where(np.arange(COUNT) < with_it, 1.0, -1.0).astype(np.float32)[:, None]
    features = np.random.default_rng(seed).standard_normal((COUNT, WIDTH)) + offset
    features[:, :1] += 5 * labels
    return Sample(np.zeros((COUNT, 1, 1, 1), np.uint8), features.astype(np.float32), labels)


def figures(faces, photos, others):
    return judge(["Bald"], faces, photos, others, lambda images: np.ones((len(images), 1), bool))["Bald"]


def of(rows):
    return frechet.Gaussian.of(rows)


def test_the_distance_of_a_class_stands_beside_its_floor_of_the_same_count():
    photos, others, faces = sample(0, 100), sample(1, 60), sample(2, 100, offset=1.0)
    judged = figures(faces, photos, others)
    assert judged["frechet_with"] == frechet.distance(of(photos.features[:60]), of(faces.features[:60]))
    assert judged["frechet_with_floor"] == frechet.distance(of(photos.features[:60]), of(others.features[:60]))
    assert judged["frechet_without_floor"] < 0.3 < 3 < judged["frechet_without"]


@pytest.mark.parametrize(("with_it", "others_with_it"), [(7, 100), (100, 7), (0, 0)])
def test_a_class_of_too_few_photos_has_no_distance(with_it, others_with_it):
    judged = figures(sample(0, with_it), sample(1, with_it), sample(2, others_with_it))
    assert (judged["frechet_with"], judged["frechet_with_floor"]) == (None, None)
    assert judged["frechet_without"] > 0
