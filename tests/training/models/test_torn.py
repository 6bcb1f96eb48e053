"""Torn photos: what is of which image, far from the edge between them."""

import numpy as np
import pytest
import tensorflow as tf

from training.models.torn import UNIFORMS, tear

SIDE = 32
PHOTOS = np.random.default_rng(0).uniform(size=(8, SIDE, SIDE, 1)).astype(np.float32)
LINE, ELLIPSE, OTHER, MOVED = 0.2, 0.8, 0.2, 0.8


def torn(kind, of, shift=(0.9, 0.9), place=(0.0, 0.5), radii=(0.5, 0.5)):
    """Two torn photos with hard edges, the first of photos 0 to 3, the second of 4 to 7."""
    uniform = tf.constant([[kind, of, *shift, *place, *radii, 0.0]] * 2, tf.float32)
    assert uniform.shape[1] == UNIFORMS
    return tear(tf.constant(PHOTOS), uniform).numpy()


@pytest.mark.parametrize(("angle", "beyond"), [(0.0, np.s_[:, 24:]), (0.25, np.s_[24:]), (0.5, np.s_[:, :8])])
def test_beyond_a_line_is_another_photo(angle, beyond):
    images = torn(LINE, OTHER, place=(angle, 0.5))
    for image, whole, other in zip(images, PHOTOS[::4], PHOTOS[1::4], strict=True):
        rest = np.ones_like(whole, bool)
        rest[beyond] = False
        np.testing.assert_allclose(image[beyond], other[beyond], atol=1e-5)
        half = rest & np.flip(~rest, (0, 1))
        np.testing.assert_allclose(image[half], whole[half], atol=1e-5)


def test_the_line_passes_within_an_eighth_of_the_centre():
    for distance, first in ((0.0, 12), (0.999, 20)):
        [image, _] = torn(LINE, OTHER, place=(0.0, distance))
        is_other = np.abs(image - PHOTOS[1]).mean(axis=(0, 2)) < np.abs(image - PHOTOS[0]).mean(axis=(0, 2))
        assert np.argmax(is_other) == first
        assert is_other[first:].all()


def test_within_an_ellipse_is_another_photo():
    # Of radii 3.2 and 9.6 pixels, at the right: half of the mixture at its edge, 0.5 pixels soft.
    [image, _] = torn(ELLIPSE, OTHER, place=(0.5, 1.0), radii=(0.0, 1.0))
    share = ((image - PHOTOS[0]) / (PHOTOS[1] - PHOTOS[0]))[..., 0]
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    distance = np.hypot(rows / 3.2, (columns - 8) / 9.6)
    assert (share[distance < 0.7] > 0.8).all()
    assert (share[distance > 1.3] < 0.2).all()
    assert (share[distance > 2.5] < 0.001).all()


def test_a_part_out_of_place_is_moved_by_a_sixteenth_to_a_quarter():
    for shift, rows, columns in (((0.501, 1.0), 2, 8), ((0.0, 0.499), -8, -2)):
        [image, _] = torn(ELLIPSE, MOVED, shift, place=(0.5, 0.5), radii=(1.0, 1.0))
        moved = PHOTOS[0, 12 + rows : 20 + rows, 12 + columns : 20 + columns]
        np.testing.assert_allclose(image[12:20, 12:20], moved, atol=1e-3)
        np.testing.assert_allclose(image[0], PHOTOS[0, 0], atol=1e-3)
