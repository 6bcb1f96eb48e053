import numpy as np
import pytest

from training.metrics import distances, prdc


def cloud(count, seed, width=4, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1.0, (count, width)).astype(np.float32)


def distance(x, y):
    return float(np.sqrt(np.sum((x.astype(np.float64) - y.astype(np.float64)) ** 2)))


def radius(x, i, k):
    return sorted(distance(x[i], x[j]) for j in range(len(x)) if j != i)[k - 1]


@pytest.fixture(params=[1 << 23, 64], ids=["one block", "many blocks"])
def blocks(request, monkeypatch):
    monkeypatch.setattr(distances, "BLOCK", request.param)


@pytest.mark.usefixtures("blocks")
class TestAgainstTheDefinitions:
    real, fake, k = cloud(20, 0), cloud(15, 1, shift=1.0), 2

    def radii(self, x):
        return distances.neighbour_distances(x, 5)[:, self.k - 1]

    def inside(self, balls, points):
        """[ball, point]: whether the point lies in the ball."""
        return np.array([[distance(x, y) <= radius(balls, i, self.k) for y in points] for i, x in enumerate(balls)])

    def test_radii(self):
        expected = [[radius(self.real, i, k) for k in range(1, 6)] for i in range(20)]
        np.testing.assert_allclose(distances.neighbour_distances(self.real, 5), expected, rtol=1e-9)

    def test_nearest(self):
        expected = [min(range(20), key=lambda i: distance(self.real[i], y)) for y in self.fake]
        assert distances.nearest(self.fake, self.real).tolist() == expected

    def test_precision(self):
        expected = self.inside(self.real, self.fake).any(axis=0).mean()
        assert prdc.precision(self.real, self.radii(self.real), self.fake) == pytest.approx(expected)
        assert 0.2 < expected < 0.9

    def test_recall(self):
        expected = self.inside(self.fake, self.real).any(axis=0).mean()
        assert prdc.precision(self.fake, self.radii(self.fake), self.real) == pytest.approx(expected)
        assert 0.1 < expected < 0.9

    def test_density(self):
        expected = self.inside(self.real, self.fake).sum() / (self.k * len(self.fake))
        assert prdc.density(self.real, self.radii(self.real), self.fake, self.k) == pytest.approx(expected)

    def test_coverage(self):
        expected = self.inside(self.real, self.fake).any(axis=1).mean()
        assert prdc.coverage(self.real, self.radii(self.real), self.fake) == pytest.approx(expected)
        assert 0.1 < expected < 0.9


def test_a_copy_of_another_photo_is_a_neighbour_at_no_distance():
    x = np.array([[0.0], [0.0], [5.0], [9.0]])
    assert distances.neighbour_distances(x, 2).tolist() == [[0, 5], [0, 5], [4, 5], [4, 9]]


def test_samples_of_one_distribution_have_density_near_one():
    real, fake = cloud(1000, 0), cloud(1000, 1)
    radii = distances.neighbour_distances(real, 5)[:, 4]
    assert prdc.density(real, radii, fake, 5) == pytest.approx(1, abs=0.1)


def test_one_repeated_face_is_precise_and_covers_nothing():
    real = cloud(300, 0)
    fake = np.repeat(real[np.square(real).sum(axis=1).argmin()][None], 300, axis=0)
    radii = distances.neighbour_distances(real, 5)
    assert prdc.precision(real, radii[:, 2], fake) == 1
    assert prdc.precision(fake, distances.neighbour_distances(fake, 5)[:, 2], real) < 0.01
    assert prdc.coverage(real, radii[:, 4], fake) < 0.1
