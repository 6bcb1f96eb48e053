"""Every network against NumPy with the same weights, in float64; and what each starts with."""

import keras
import numpy as np
import pytest

from tests.training import reference
from tests.training.arrays import in_float64
from training.models.networks import FAMILIES, classic, dcgan, lite, r3gan, sngan

SHAPE, LATENT, DOUBLINGS = (16, 16, 1), 6, 2
WIDTHS = [48, 48, 32]  # of R3GAN's stages: one change of width on the way
ATOL = 1e-11


def with_weights_of_its_own(network):
    """In float64, every weight drawn anew: no zero, no one and no symmetry hides what is wrong."""
    twin = in_float64(network)
    rng = np.random.default_rng(0)
    for weight in twin.weights:
        if "depthwise" in weight.path:  # the low-pass filter is not a weight
            continue
        fan_in = max(np.prod(weight.shape[:-1]), 1)
        values = rng.normal(0, 1 / np.sqrt(fan_in), weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return twin


def inputs(*shape):
    return np.random.default_rng(1).uniform(-1, 1, (3, *shape))


def assert_same(actual, expected, weights):
    assert np.std(expected) > 0.01
    np.testing.assert_allclose(actual, expected, rtol=0, atol=ATOL * max(1, np.abs(expected).max()))
    assert weights.are_used_up()


def tanh(x):
    return np.tanh(x) / 2 + 0.5


GENERATORS = {
    "classic": (
        lambda: classic.generator(SHAPE, LATENT, 0.125),
        lambda z, weights: reference.classic_generator(z, weights, DOUBLINGS),
    ),
    "dcgan": (
        lambda: dcgan.generator(SHAPE, LATENT, 0.125),
        lambda z, weights: tanh(reference.dcgan_generator(z, weights, DOUBLINGS)),
    ),
    "lite": (
        lambda: lite.generator((64, 64, 1), LATENT, 0.25),
        lambda z, weights: reference.lite_generator(z, weights, 4),
    ),
    "sngan": (
        lambda: sngan.generator(SHAPE, LATENT, 0.25),
        lambda z, weights: reference.sngan_generator(z, weights, DOUBLINGS),
    ),
    "r3gan": (
        lambda: r3gan._generator(WIDTHS, 1, LATENT),
        lambda z, weights: reference.r3gan_generator(z, weights, WIDTHS),
    ),
}

DISCRIMINATORS = {
    "dcgan": (lambda: dcgan.discriminator(SHAPE, 0.125), lambda x, w: reference.dcgan_discriminator(x, w, 2, True)),
    "wgan_gp": (
        lambda: dcgan.critic(SHAPE, 0.125),
        lambda x, w: reference.dcgan_discriminator(x, w, 2, False),
    ),
    "lite": (
        lambda: lite.discriminator((32, 32, 1), 0.25),
        lambda x, w: reference.dcgan_discriminator(x, w, 3, False, 2),
    ),
    "sngan": (lambda: sngan.discriminator(SHAPE, 0.25), lambda x, w: reference.sngan_discriminator(x, w, DOUBLINGS)),
    "r3gan": (lambda: r3gan._discriminator(WIDTHS, SHAPE), lambda x, w: reference.r3gan_discriminator(x, w, WIDTHS)),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_the_generator_is_that_of_the_paper(name):
    build, expected = GENERATORS[name]
    network = with_weights_of_its_own(build())
    weights, z = reference.Weights(network), inputs(LATENT)
    assert_same(network(z, training=True).numpy(), expected(z, weights), weights)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_the_discriminator_is_that_of_the_paper(name):
    build, expected = DISCRIMINATORS[name]
    network = with_weights_of_its_own(build())
    weights, images = reference.Weights(network), inputs(*network.inputs[0].shape[1:])
    logits = expected(images, weights)  # before the network's power iteration moves u
    training = name == "dcgan"  # BatchNormalization as in training; spectral normalisation with u at rest
    assert_same(network([images], training=training).numpy(), logits, weights)


def test_the_discriminator_of_the_specification_drops_two_of_five():
    network = with_weights_of_its_own(classic.discriminator(SHAPE, 0.125))
    weights, images = reference.Weights(network), inputs(*SHAPE)
    noises = [
        np.random.default_rng(n).uniform(size=(3, *entry.shape[1:])) for n, entry in enumerate(network.inputs[1:])
    ]
    assert len(noises) == 2
    actual = network([images, *noises], training=True).numpy()
    assert_same(actual, reference.classic_discriminator(images, noises, weights), weights)


@pytest.mark.parametrize(
    ("network", "momentum", "epsilon"),
    [
        (lambda: classic.generator(SHAPE, LATENT), 0.99, 1e-3),  # Keras's own
        (lambda: lite.generator(SHAPE, LATENT), 0.9, 1e-3),
        (lambda: sngan.generator(SHAPE, LATENT), 0.9, 1e-5),  # mimicry's
        (lambda: dcgan.generator(SHAPE, LATENT), 0.9, 1e-5),  # Radford et al.'s code
        (lambda: dcgan.discriminator(SHAPE), 0.9, 1e-5),
    ],
    ids=["classic", "lite", "sngan", "dcgan generator", "dcgan discriminator"],
)
def test_moving_statistics_are_of_the_whole_batch_at_the_momentum_of_the_source(network, momentum, epsilon):
    layers = [layer for layer in network().layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert layers
    for layer in layers:
        assert (layer.synchronized, layer.momentum, layer.epsilon) == (True, momentum, epsilon)


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128])
def test_widths_follow_the_size_of_the_image(size):
    """By hand, from 4x4 to the image: one step for each doubling."""
    steps = {8: 1, 16: 2, 32: 3, 64: 4, 128: 5}[size]
    shape = (size, size, 1)

    def filters(network, kind):
        return [layer.filters for layer in network.layers if isinstance(layer, kind)]

    of_classic = [*[256, 128, 64, 32][: steps - 1], 1]
    assert filters(classic.generator(shape, 5), keras.layers.Conv2DTranspose) == of_classic
    assert filters(classic.discriminator(shape), keras.layers.Conv2D) == [64, 64]
    of_dcgan = [64, 128, 256, 512, 512][:steps]
    assert filters(dcgan.discriminator(shape), keras.layers.Conv2D) == of_dcgan
    assert filters(dcgan.generator(shape, 5), keras.layers.Conv2DTranspose) == [*of_dcgan[-2::-1], 1]
    strided = [layer for layer in lite.discriminator(shape).layers if getattr(layer, "strides", 1) == (2, 2)]
    assert [layer.filters for layer in strided] == [width // 2 for width in of_dcgan]
    of_sngan = [32, 64, 128, 256, 512, 512][: steps + 1]
    assert sngan._widths(shape, 1.0) == of_sngan


def standard_deviation(fan):
    return pytest.approx(fan, rel=0.15)


def test_every_kernel_starts_at_the_scale_of_its_source():
    """By standard deviations: Glorot's sqrt(2 / (in + out)), times sqrt(2) in the blocks of sngan."""
    shape = (64, 64, 1)

    def kernels(network):
        weighted = [(layer, layer.weights[0].numpy()) for layer in network.layers if layer.trainable_variables]
        return [
            (layer, kernel, int(np.prod(kernel.shape[:-2])) if kernel.ndim == 4 else 1)
            for layer, kernel in weighted
            if kernel.size >= 500 and kernel.ndim in (2, 4)
        ]

    for network in (classic.generator(shape, 100), classic.discriminator(shape), lite.discriminator(shape)):
        for _, kernel, area in kernels(network):  # Keras's own initialiser in the tutorial: Glorot's, uniform
            assert kernel.std() == standard_deviation((2 / area / sum(kernel.shape[-2:])) ** 0.5)
    for layer, kernel, area in kernels(sngan.generator(shape, 128)):
        gain = 2**0.5 if getattr(layer, "kernel_size", None) == (3, 3) and layer.filters > 1 else 1
        assert kernel.std() == standard_deviation(gain * (2 / area / sum(kernel.shape[-2:])) ** 0.5)
    for layer in sngan.discriminator(shape).layers:
        if layer.weights:
            kernel = layer.kernel.numpy()
            inside = kernel.shape[0] == 3
            expected = (2**0.5 if inside else 1) * (2 / kernel.shape[0] ** 2 / sum(kernel.shape[-2:])) ** 0.5
            assert kernel.std() == pytest.approx(expected, rel=0.3 if kernel.size < 500 else 0.15), kernel.shape


@pytest.mark.parametrize("source", FAMILIES.values(), ids=FAMILIES)
def test_both_networks_refuse_a_shape_that_they_cannot_build(source):
    for shape in ((4, 4, 1), (63, 63, 1), (48, 48, 1), (64, 32, 1), (64, 64, 2)):
        with pytest.raises(ValueError, match="square images"):
            source.generator(shape, LATENT)
        with pytest.raises(ValueError, match="square images"):
            source.discriminator(shape)
