"""ADA's augmentations against NumPy and SciPy in float64, one image at a time and by other ways.

Held against the authors' own augment.py, with the same random numbers in float64, images differ by 3e-14 where the
authors' margin of one reflection is enough.
"""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation
from scipy.special import ndtri

from training.models.ada import _LOW_PASS, UNIFORMS, ada


def slowly(image, uniform, probability):
    """ADA of one image [height, width, channels] in [0, 1]; every random number has its place in `uniform`."""
    numbers = iter(uniform)

    def either(values, otherwise, chance=probability):
        return values if next(numbers) < chance else [otherwise] * len(values)

    def uniforms(count=1):
        return [next(numbers) for _ in range(count)]

    def normals(count=1):
        return [ndtri(next(numbers)) for _ in range(count)]

    height, width, channels = image.shape
    # From a place in the image to the place in the result: each augmentation is done after those before it.
    forward = np.eye(3)

    def then(matrix):
        nonlocal forward
        whole = np.eye(3)
        whole[: len(matrix), : len(matrix[0])] = matrix
        forward = whole @ forward

    def turn(angle):
        return [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]

    def shift(x, y):
        return [[1, 0, x], [0, 1, y], [0, 0, 1]]

    def turn_once():
        chance = 1 - np.sqrt(1 - probability)
        [angle] = either([(uniforms()[0] * 2 - 1) * np.pi], 0, chance)
        then(turn(-angle))

    [flip] = either([int(uniforms()[0] * 2)], 0)
    then(np.diag([1 - 2 * flip, 1]))
    [quarters] = either([int(uniforms()[0] * 4)], 0)
    then(turn(-np.pi / 2 * quarters))
    x, y = either([(number * 2 - 1) / 8 for number in uniforms(2)], 0)
    then(shift(np.round(x * width), np.round(y * height)))
    [factor] = either([2 ** (normals()[0] / 5)], 1)
    then(np.diag([factor, factor]))
    turn_once()
    [factor] = either([2 ** (normals()[0] / 5)], 1)
    then(np.diag([factor, 1 / factor]))
    turn_once()
    x, y = either([number / 8 for number in normals(2)], 0)
    then(shift(x * width, y * height))
    image = warped(2 * image - 1, np.linalg.inv(forward))

    # Colours of an RGB image; a grey one is one of three equal channels, and the mean of what becomes of them.
    pixels = image.reshape(-1, channels).repeat(3 // channels, 1)
    half = probability / 2
    pixels = pixels + either([normals()[0] / 5], 0, half)
    pixels = pixels * either([2 ** (normals()[0] / 2)], 1, half)
    [is_flipped] = either([int(uniforms()[0] * 2)], 0, half)
    pixels = pixels - 2 * is_flipped * pixels.mean(1, keepdims=True)
    if channels == 3:
        [angle] = either([(uniforms()[0] * 2 - 1) * np.pi], 0, half)
        pixels = Rotation.from_rotvec(angle * np.ones(3) / np.sqrt(3)).apply(pixels)
        [saturation] = either([2 ** normals()[0]], 1, half)
        grey = pixels.mean(1, keepdims=True)
        pixels = grey + saturation * (pixels - grey)
    image = pixels.reshape(height, width, 3) if channels == 3 else pixels.mean(1).reshape(height, width, 1)

    is_cut = next(numbers) < probability
    middle = np.array(uniforms(2)) * (width, height)
    assert channels == 1 or next(numbers, None) is None
    for row in range(height):
        for column in range(width):
            distance = np.abs(np.array([column + 0.5, row + 0.5]) - middle) / (width, height)
            if is_cut and distance.max() < 0.25:
                image[row, column] = 0
    return (image + 1) / 2


def warped(image, inverse):
    height, width, _ = image.shape
    fine = np.pad(image, [(4 * height,) * 2, (4 * width,) * 2, (0, 0)], "reflect")  # mirrors of mirrors
    for axis in (0, 1):  # zeros between the pixels, then the filter
        fine = np.apply_along_axis(lambda line: np.convolve(np.kron(line, [2, 0]), _LOW_PASS)[5:-6], axis, fine)
    rows, columns = np.mgrid[-6 : 2 * height + 6, -6 : 2 * width + 6]
    x, y, _ = np.einsum(
        "ij,jrc->irc", inverse, [(columns + 1 - width) / 2, (rows + 1 - height) / 2, np.ones(rows.shape)]
    )
    at = [2 * y + 9 * height - 1, 2 * x + 9 * width - 1]
    fine = np.stack([map_coordinates(part, at, order=1, mode="grid-constant") for part in fine.transpose(2, 0, 1)], -1)
    for axis in (0, 1):
        fine = np.apply_along_axis(lambda line: np.correlate(line[1:-1], _LOW_PASS)[::2], axis, fine)
    return fine


@pytest.mark.parametrize("shape", [(16, 16, 1), (16, 16, 3), (8, 16, 1)])
@pytest.mark.parametrize("probability", [0.5, 1.0])
def test_every_image_is_augmented_as_in_the_paper(shape, probability):
    random = np.random.default_rng(0)
    images, uniform = random.uniform(size=(12, *shape)), random.uniform(size=(12, UNIFORMS))
    augmented = ada(tf.constant(images), tf.constant(uniform), probability).numpy()
    for one, image, numbers in zip(augmented, images, uniform, strict=True):
        np.testing.assert_allclose(one, slowly(image, numbers, probability), atol=1e-12)


def test_the_filter_is_a_wavelet_s():
    """Orthogonal to itself two places further, so that an image that is not moved comes out as it went in."""
    random = np.random.default_rng(0)
    taps = _LOW_PASS * np.sqrt(2)
    for apart in range(0, 12, 2):
        assert taps[apart:] @ taps[: 12 - apart] == pytest.approx(float(apart == 0), abs=1e-11)
    images = random.uniform(size=(4, 16, 16, 3))
    untouched = ada(tf.constant(images), tf.constant(random.uniform(size=(4, UNIFORMS))), 0.0)
    np.testing.assert_allclose(untouched, images, atol=1e-12)


def test_gradients_are_those_of_the_images():
    """The result is affine in the image: one slope holds everywhere. Compiled, as a run has it, and as penalties do."""
    random = np.random.default_rng(0)
    images, uniform = tf.constant(random.uniform(size=(6, 16, 16, 1))), tf.constant(random.uniform(size=(6, UNIFORMS)))
    weights, step = tf.constant(random.uniform(size=images.shape)), random.uniform(size=images.shape)
    certain = tf.constant(1.0, tf.float64)

    @tf.function(autograph=False)
    def gradients(images, weights, uniform, probability):
        with tf.GradientTape() as outer:
            outer.watch(weights)
            with tf.GradientTape() as inner:
                inner.watch(images)
                total = tf.reduce_sum(weights * ada(images, uniform, probability))
            gradient = inner.gradient(total, images)
            penalty = tf.reduce_sum(gradient**2)
        return gradient, outer.gradient(penalty, weights)

    def difference(step):
        return ada(images + step, uniform, certain) - ada(images, uniform, certain)

    gradient, of_penalty = gradients(images, weights, uniform, certain)
    np.testing.assert_allclose(tf.reduce_sum(step * gradient), tf.reduce_sum(weights * difference(step)), rtol=1e-10)
    np.testing.assert_allclose(of_penalty, 2 * difference(gradient), atol=1e-10)
