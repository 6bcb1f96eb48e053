"""Augmentations against NumPy, one image at a time."""

from typing import get_args

import numpy as np
import pytest
import tensorflow as tf

from training.models.augmentation import AUGMENTATIONS, augment
from training.presets import AugmentationName

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(size=(6, 16, 16, 1)).astype(np.float32)
UNIFORM = RANDOM.uniform(size=(6, 2)).astype(np.float32)


def always(name, images, uniform):
    """What an augmentation does with probability 1."""
    rest = np.random.default_rng(1).uniform(size=(len(images), AUGMENTATIONS[name].num_uniforms - 2)).astype(np.float32)
    return AUGMENTATIONS[name].apply(images, tf.concat([uniform, rest], 1), 1.0)


def applied(name, uniform=UNIFORM):
    return always(name, IMAGES, uniform).numpy()


def test_brightness_is_added():
    expected = IMAGES + (UNIFORM[:, 0] - 0.5).reshape(6, 1, 1, 1) / 2
    np.testing.assert_allclose(applied("brightness"), expected, rtol=1e-5)


def test_contrast_is_about_each_image_s_mean():
    for augmented, image, (amount, _) in zip(applied("contrast"), IMAGES, UNIFORM, strict=True):
        np.testing.assert_allclose(
            augmented, image.mean() + (image - image.mean()) * (amount + 0.5), rtol=1e-4, atol=1e-6
        )


def test_translation_moves_by_up_to_an_eighth_and_leaves_grey():
    for augmented, image, uniform in zip(applied("translation"), IMAGES, UNIFORM, strict=True):
        down, right = (2 - int(part * 5) for part in uniform)  # 16 / 8 = 2 pixels each way
        expected = np.full_like(image, 0.5)
        for row in range(16):
            for column in range(16):
                if 0 <= row - down < 16 and 0 <= column - right < 16:
                    expected[row, column] = image[row - down, column - right]
        np.testing.assert_array_equal(augmented, expected)


@pytest.mark.parametrize(
    ("place", "rows", "columns"),
    [
        ((0.5, 0.5), slice(4, 12), slice(4, 12)),
        ((0.0, 0.5), slice(0, 4), slice(4, 12)),  # its centre may be on any edge, and half of it outside
        ((0.5, 0.999), slice(4, 12), slice(12, 16)),
    ],
)
def test_cutout_leaves_a_grey_square_of_half_the_side(place, rows, columns):
    for augmented, image in zip(applied("cutout", np.tile(np.float32(place), (6, 1))), IMAGES, strict=True):
        expected = image.copy()
        expected[rows, columns] = 0.5
        np.testing.assert_array_equal(augmented, expected)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_gradients_pass_through(name):
    images = tf.Variable(IMAGES)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(always(name, tf.convert_to_tensor(images), UNIFORM))
    assert np.any(tape.gradient(total, images).numpy() != 0)


def test_probability_decides_image_by_image():
    chances = np.array([0.0, 0.29, 0.3, 0.31, 0.99, 0.1], np.float32)
    uniform = np.concatenate([np.full((6, 2), 0.9, np.float32), chances[:, None]], axis=1)
    augmented = augment(tf.constant(IMAGES), ["brightness"], 0.3, lambda place, numbers: tf.constant(uniform)).numpy()
    changed = np.any(augmented != IMAGES, axis=(1, 2, 3))
    assert changed.tolist() == [True, True, False, False, False, True]


def test_the_presets_choose_among_these():
    assert set(get_args(AugmentationName)) == set(AUGMENTATIONS)


def test_height_and_width_are_each_their_own():
    """On images of 16x32: by up to 2 rows and 4 columns, and a hole of 8x16."""
    images = RANDOM.uniform(size=(2, 16, 32, 1)).astype(np.float32)
    far = tf.constant([[0.0, 0.0], [0.999, 0.999]])
    moved = always("translation", images, far).numpy()
    np.testing.assert_array_equal(moved[0, 2:, 4:], images[0, :-2, :-4])
    np.testing.assert_array_equal(moved[1, :-2, :-4], images[1, 2:, 4:])
    holes = always("cutout", images, [[0.5, 0.5], [0.5, 0.5]]).numpy()
    expected = images.copy()
    expected[:, 4:12, 8:24] = 0.5
    np.testing.assert_array_equal(holes, expected)


@pytest.mark.parametrize("names", [["ada"], ["translation", "cutout"]])
def test_images_stay_what_they_are_at_the_probability_0(names):
    augmented = augment(tf.constant(IMAGES), names, tf.constant(0.0), lambda place, numbers: tf.zeros((6, numbers)))
    np.testing.assert_array_equal(augmented, IMAGES)  # not merely to the rounding of ADA's filters
