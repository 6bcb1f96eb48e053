"""The networks of the papers and lite's: layers, initial values, second derivatives."""

import random as random_seeds

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.arrays import in_float64, random
from training.models.networks import FAMILIES, dcgan, lite, r3gan

PAPERS = ("dcgan", "wgan_gp", "sngan", "r3gan", "lite")


def small(name):
    """Both networks for 8x8x1, R3GAN's in 16 times fewer channels; the same weights every time."""
    # Seeded: a penalty jumps where a unit of LeakyReLU or ReLU changes sides, which may lie between the two points of a
    # central difference.
    random_seeds.seed(0)
    if name == "r3gan":
        return r3gan._generator([48, 32], 1, 10), r3gan._discriminator([48, 32], (8, 8, 1))
    return FAMILIES[name].generator((8, 8, 1), 10), FAMILIES[name].discriminator((8, 8, 1))


@pytest.fixture
def bfloat16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("name", [name for name in PAPERS if name != "wgan_gp"])  # its generator is dcgan's
def test_a_saved_generator_needs_keras_alone(name, tmp_path):
    generator, _ = small(name)
    assert {type(layer).__module__.partition(".")[0] for layer in generator.layers} == {"keras"}
    generator.save(tmp_path / "generator.keras")
    z = random(2, 10)
    loaded = keras.saving.load_model(tmp_path / "generator.keras")
    np.testing.assert_allclose(loaded(z), generator(z), atol=1e-5)


@pytest.mark.parametrize("name", PAPERS)
def test_layers_of_one_shape_start_differently(name):
    for network in small(name):
        kernels = [v.numpy() for v in network.trainable_variables if len(v.shape) > 1]
        kernels = [kernel for kernel in kernels if kernel.any()]  # but R3GAN's zeros
        assert len({kernel.tobytes() for kernel in kernels}) == len(kernels)


@pytest.mark.parametrize("name", FAMILIES)
def test_bfloat16_is_for_the_arithmetic_inside(name, bfloat16):
    generator, discriminator = networks = small(name)
    images = generator(random(2, 10), training=True)
    noise = [tf.fill((2, *entry.shape[1:]), 0.5) for entry in discriminator.inputs[1:]]
    logits = discriminator([images, *noise], training=True)
    assert images.dtype == logits.dtype == tf.float32
    assert np.isfinite(images).all() and np.isfinite(logits).all()
    for network in networks:
        assert {variable.dtype for variable in network.variables} <= {"float32", "uint32"}
        assert any(layer.compute_dtype == "bfloat16" for layer in network.layers)


@pytest.mark.parametrize("name", PAPERS)
def test_a_gradient_penalty_has_the_right_gradient(name):
    """d |dD/dx|^2 / d weights along a random direction, against central differences in float64."""
    discriminator = small(name)[1]
    twin = in_float64(discriminator)
    generator = np.random.default_rng(0)
    start = [v.numpy() + generator.normal(0, 0.05, v.shape) for v in discriminator.trainable_variables]
    direction = [generator.normal(0, 1, v.shape) for v in discriminator.trainable_variables]
    pixels = generator.uniform(0, 1, (3, 8, 8, 1))
    for here, there in zip(discriminator.non_trainable_variables, twin.non_trainable_variables, strict=True):
        there.assign(here.numpy())

    def assign(network, step):
        for variable, origin, way in zip(network.trainable_variables, start, direction, strict=True):
            variable.assign(origin + step * way)

    def penalty(network, dtype):
        images = tf.constant(pixels, dtype)
        with tf.GradientTape() as tape:
            tape.watch(images)
            # BatchNormalization as in training; spectral normalisation with u at rest.
            value = tf.reduce_sum(network([images], training=name == "dcgan"))
        return tf.reduce_sum(tape.gradient(value, images) ** 2)

    def at(step):
        assign(twin, step)
        return penalty(twin, tf.float64).numpy()

    expected = (at(1e-7) - at(-1e-7)) / 2e-7
    assign(discriminator, 0.0)
    with tf.GradientTape() as tape:
        value = penalty(discriminator, tf.float32)
    gradients = tape.gradient(value, discriminator.trainable_variables)
    along = sum(np.sum(g * way) for g, way in zip(gradients, direction, strict=True) if g is not None)
    assert float(value) == pytest.approx(at(0.0), rel=1e-4)
    assert along == pytest.approx(expected, rel=2e-3)


def test_dcgan_starts_as_in_the_paper():
    for network in (dcgan.generator((64, 64, 1), 100), dcgan.discriminator((64, 64, 1))):
        for layer in network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                assert layer.synchronized
                gamma = layer.gamma.numpy()
                assert gamma.mean() == pytest.approx(1, abs=0.01)
                assert gamma.std() == pytest.approx(0.02, rel=0.3)
            elif layer.trainable_variables:
                assert layer.kernel.numpy().std() == pytest.approx(0.02, rel=0.1)


def test_z_scales_the_maps_of_lite_by_one_at_first():
    generator = lite.generator((64, 64, 1), 64)
    products = [layer for layer in generator.layers if isinstance(layer, keras.layers.Multiply)]
    scales = keras.Model(generator.inputs, [layer.input[1] for layer in products])(random(4, 64))
    assert [scale.shape for scale in scales] == [(4, 1, 1, width) for width in (128, 64, 32)]
    for scale in scales:
        np.testing.assert_array_equal(scale, 1)


def test_the_critic_of_wgan_gp_starts_as_he_et_al():
    for layer in dcgan.critic((64, 64, 1)).layers:
        if layer.trainable_variables:
            kernel = layer.kernel.numpy()
            fan_in = np.prod(kernel.shape[:-1])
            assert np.std(kernel) == pytest.approx((2 / fan_in) ** 0.5, rel=0.1)


@pytest.mark.parametrize(
    ("size", "widths"), [(8, [768] * 2), (64, [768] * 4 + [384]), (256, [768] * 4 + [384, 192, 96])]
)
def test_r3gan_is_768_wide_up_to_32_pixels(size, widths):
    assert r3gan._widths((size, size, 3), 1.0) == widths


def test_r3gan_starts_with_every_block_as_its_shortcut():
    discriminator = r3gan._discriminator([64, 64, 32], (16, 16, 1))
    sums = [layer for layer in discriminator.layers if isinstance(layer, keras.layers.Add)]
    assert len(sums) == 6
    outputs = [(layer.input[0], layer.output) for layer in sums]
    for before, after in keras.Model(discriminator.inputs, outputs)([random(2, 16, 16, 1)]):
        np.testing.assert_array_equal(before, after)


def test_the_power_inside_a_block_of_r3gan_starts_at_one_over_the_number_of_blocks():
    """From x of power 1: each of the two convolutions has gain sqrt(2 / 1.04) * L^(-1/4), and LeakyReLU takes 1.04 / 2.

    So L^(-1/2) after each pair of convolution and LeakyReLU, and 1 / L before the last convolution.
    """
    for stages in (2, 5):
        x = keras.Input((16, 16, 256))
        block = keras.Model(x, r3gan._stage(x, stages))
        last = [layer for layer in block.layers if isinstance(layer, keras.layers.Conv2D)][2]
        inside = keras.Model(x, last.input)(random(2, 16, 16, 256)).numpy()
        # Zeros beyond the edge take power from the outer ring.
        assert np.mean(inside[:, 1:-1, 1:-1] ** 2) == pytest.approx(1 / (2 * stages), rel=0.05)


def test_the_ends_of_r3gan_start_at_power_one():
    generator, discriminator = r3gan._generator([512, 512], 1, 64), r3gan._discriminator([512, 512], (8, 8, 1))
    first = next(layer for layer in generator.layers if isinstance(layer, keras.layers.EinsumDense))
    assert np.mean(keras.Model(generator.inputs, first.output)(random(64, 64)) ** 2) == pytest.approx(1, rel=0.15)

    entry = discriminator.layers[2]
    assert np.mean(keras.Model(discriminator.inputs, entry.output)([random(8, 8, 8, 1) / 2 + 0.5]) ** 2) == (
        pytest.approx(1, rel=0.25)
    )
    last = next(layer for layer in discriminator.layers if isinstance(layer, keras.layers.EinsumDense))
    assert np.mean(last(random(64, 4, 4, 512)) ** 2) == pytest.approx(1, rel=0.1)
    assert np.mean(discriminator.layers[-1](random(512, 512)) ** 2) == pytest.approx(1, rel=0.4)


def test_r3gan_computes_in_bfloat16_but_at_4x4_and_the_end(bfloat16):
    for network in (r3gan._generator([48, 48], 1, 10), r3gan._discriminator([48, 48], (8, 8, 1))):
        for layer in network.layers:
            if isinstance(layer, (keras.layers.Conv2D, keras.layers.LeakyReLU, keras.layers.Add)):
                in_float32 = layer.output.shape[1] == 4 or layer.output.shape[-1] == 1
                assert layer.compute_dtype == ("float32" if in_float32 else "bfloat16")
