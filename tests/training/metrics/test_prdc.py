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


def test_a_point_on_the_edge_of_a_ball_lies_in_it():
    """Features that are whole numbers meet the edge; Kynkaanniemi et al.'s equation 2 has "at most"."""
    real, fake = np.array([[0.0], [4.0], [8.0]]), np.array([[2.0], [12.0], [12.5]])
    radii = np.array([2.0, 1.0, 4.0])  # [-2, 2], [3, 5], [4, 12]
    assert prdc.precision(real, radii, fake) == pytest.approx(2 / 3)
    assert prdc.density(real, radii, fake, 1) == pytest.approx(2 / 3)
    assert prdc.coverage(real, radii, fake) == pytest.approx(2 / 3)


def test_neighbours_are_the_nearest_of_many():
    x = np.random.default_rng(0).normal(size=(1_500, 3))  # of few numbers NumPy sorts more than it is asked to
    expected = np.sort(np.sqrt(((x[:, None] - x) ** 2).sum(-1)), axis=1)[:, 1:]
    for count in (1, 5, 50):
        np.testing.assert_allclose(distances.neighbour_distances(x, count), expected[:, :count], rtol=1e-6, atol=1e-9)
