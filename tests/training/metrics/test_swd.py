import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from training.metrics import swd


def noise(count=30, side=32, channels=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, channels), dtype=np.uint8)


def smooth(images, sigma):
    return scipy.ndimage.gaussian_filter(images.astype(float), (0, sigma, sigma, 0)).round().astype(np.uint8)


@pytest.mark.parametrize("side", [16, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_pyramid_adds_up_to_the_images(side, channels):
    images = noise(3, side, channels).astype(np.float32)
    levels = swd.laplacian_pyramid(images)
    assert [level.shape[1] for level in levels] == swd.sides(side)
    whole = levels[-1]
    for finer in levels[-2::-1]:
        whole = finer + swd._doubled(whole)
    np.testing.assert_allclose(whole, images, atol=1e-3)


def test_a_halving_is_the_5x5_binomial_blur_of_every_second_pixel():
    images = noise(2, 32).astype(np.float32)
    kernel = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    blurred = scipy.ndimage.convolve(images[1, :, :, 0].astype(float), kernel, mode="mirror")
    np.testing.assert_allclose(swd.laplacian_pyramid(images)[-1][1, :, :, 0], blurred[::2, ::2], rtol=1e-5)


def test_a_plain_image_stays_plain_when_doubled():
    np.testing.assert_allclose(swd._doubled(np.full((1, 8, 8, 3), 7, np.float32)), 7, rtol=1e-6)


def test_patches_are_cut_from_the_images_and_normalised_by_channel():
    images = noise(20, 16, 3)
    images[..., 1] = images[..., 1] // 10 + 100
    cut = swd.patches(images)[16]
    assert cut.shape == (20 * 128, 3 * 7 * 7)
    by_channel = cut.reshape(-1, 3, 49)
    np.testing.assert_allclose(by_channel.mean(axis=(0, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(by_channel.std(axis=(0, 2)), 1, rtol=1e-4)
    # Undone, each patch is found in its own image.
    for channel in range(3):
        values = np.unique(images[5, :, :, channel])
        assert len(np.unique(by_channel[5 * 128 : 6 * 128, channel].round(4))) <= len(values)


def test_one_direction_is_scipys_wasserstein_distance(monkeypatch):
    monkeypatch.setattr(swd, "DIRECTIONS", 64)
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(2, 200, 49)).astype(np.float32)
    fake = fake * 1.5 + 0.3
    directions = np.random.default_rng((0, 49)).normal(size=(64, 49))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected = np.mean([scipy.stats.wasserstein_distance(real @ d, fake @ d) for d in directions])
    assert swd._distance(real, fake) == pytest.approx(1000 * expected, rel=1e-5)


def test_same_images_are_at_zero_and_others_always_at_the_same_distance():
    images, others = noise(10, 16), smooth(noise(10, 16, seed=1), 1)
    assert set(swd.distances(images, images).values()) == {0.0}
    assert swd.distances(images, others) == swd.distances(images, others)


def test_lost_texture_shows_on_the_fine_level_first():
    photos, others = smooth(noise(15, 64, seed=0), 3), smooth(noise(15, 64, seed=1), 3)
    grainy = np.clip(others.astype(int) + np.random.default_rng(2).integers(-6, 7, others.shape), 0, 255).astype(
        np.uint8
    )
    floor, scores = swd.distances(photos, others), swd.distances(photos, grainy)
    assert list(scores) == [64, 32, 16]
    assert scores[64] > 3 * floor[64]
    assert scores[16] < 2 * floor[16]


def test_plain_images_are_finite():
    plain = np.full((10, 16, 16, 1), 128, np.uint8)
    assert swd.distances(plain, plain) == {16: 0.0}
    assert np.isfinite(swd.distances(plain, noise(10, 16))[16])


def test_unequal_counts_are_refused():
    with pytest.raises(ValueError, match="As many fake"):
        swd.distances(noise(10), noise(9))


def test_many_images_give_fewer_patches_each(monkeypatch):
    monkeypatch.setattr(swd, "MAX_PATCHES", 1000)
    assert {len(cut) for cut in swd.patches(noise(100, 32)).values()} == {1000}
    assert {len(cut) for cut in swd.patches(noise(5, 32)).values()} == {5 * 128}


@pytest.mark.parametrize("corner", [(0, 0), (0, 15), (15, 0), (15, 15)])
def test_patches_reach_into_every_corner(corner):
    """A bright pixel there is in one patch in a hundred."""
    images = np.zeros((40, 16, 16, 1), np.uint8)
    images[:, corner[0], corner[1]] = 255
    bright = (swd.patches(images)[16] > 1).any(axis=1).mean()
    assert 0.004 < bright < 0.02
