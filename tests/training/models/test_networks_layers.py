"""Layers against NumPy: singular values, resampling, grouped convolutions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.arrays import block_diagonal, random
from tests.training.every_preset import over_two
from tests.training.reference import convolve
from training.models.networks.layers import SpectralConv2D, blur, native_groups


def spectral(kernel_size=3, channels=4, filters=6, dtype="float64", iterations=0):
    layer = SpectralConv2D(filters, kernel_size, dtype=dtype)
    layer.build((None, 8, 8, channels))
    for _ in range(iterations):
        layer.singular_value(training=True)
    return layer


def largest_singular_value(kernel):
    return np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]


@pytest.mark.parametrize(("kernel_size", "channels", "filters"), [(3, 4, 6), (1, 3, 8), (3, 1, 16), (1, 5, 1)])
def test_the_singular_value_is_that_of_numpy(kernel_size, channels, filters):
    layer = spectral(kernel_size, channels, filters, iterations=300)
    expected = largest_singular_value(layer.kernel.numpy())
    np.testing.assert_allclose(layer.singular_value(), expected, rtol=1e-6)


def test_a_forward_pass_in_training_is_one_power_iteration_and_in_inference_none():
    layer, x = spectral(), random(2, 8, 8, 4)
    matrix, u = layer.kernel.numpy().reshape(-1, 6), layer.u.numpy()
    layer(x, training=False)
    np.testing.assert_array_equal(layer.u.numpy(), u)
    layer(x, training=True)
    expected = matrix.T @ (matrix @ u)
    np.testing.assert_allclose(layer.u.numpy(), expected / np.linalg.norm(expected), rtol=1e-9)


def test_the_gradient_flows_through_the_singular_value():
    layer, x, weight = spectral(iterations=300), random(2, 8, 8, 4), random(2, 8, 8, 6, seed=1)
    kernel, direction = layer.kernel.numpy(), random(3, 3, 4, 6, seed=2)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(weight * layer(x))
    gradient = tape.gradient(value, layer.trainable_variables)[0].numpy()

    def along(step):
        moved = kernel + step * direction
        return np.sum(weight * convolve(x, moved / largest_singular_value(moved)))

    expected = (along(1e-6) - along(-1e-6)) / 2e-6
    assert np.sum(gradient * direction) == pytest.approx(expected, rel=1e-5)
    # What is left out of the gradient if nothing flows through: it must be worth seeing.
    assert abs(np.sum(gradient * kernel)) < 1e-4 < abs(np.sum(weight * convolve(x, kernel)))


def test_the_singular_value_stays_float32_where_layers_compute_in_bfloat16():
    layer = spectral(dtype="mixed_bfloat16", iterations=100)
    assert {w.dtype for w in layer.weights} == {"float32"}
    x = tf.constant(random(2, 8, 8, 4), tf.bfloat16)
    assert layer(x).dtype == tf.bfloat16
    taken = tf.function(layer.singular_value)()
    np.testing.assert_allclose(taken, largest_singular_value(layer.kernel.numpy()), rtol=1e-4)


def test_replicas_keep_the_same_vectors():
    strategy = over_two().strategy
    with strategy.scope():
        layer = spectral(dtype="float32")
    matrix, u = layer.kernel.numpy().reshape(-1, 6), layer.u.numpy()

    @tf.function
    def step():
        return strategy.run(lambda: layer(tf.zeros((1, 8, 8, 4)), training=True))

    step()
    expected = matrix.T @ (matrix @ u)
    for copy in strategy.experimental_local_results(layer.u.value):
        np.testing.assert_allclose(copy, expected / np.linalg.norm(expected), rtol=1e-4)


def test_the_filter_is_not_trained():
    layer = blur()
    layer.build((None, 8, 8, 3))
    assert layer.trainable_variables == []
    assert len(layer.weights) == 1  # a bias would be one more in every checkpoint and every generator.keras


def grouped(dtype="float32"):
    layer = native_groups(keras.layers.Conv2D(12, 3, padding="same", groups=4, dtype=dtype))
    layer.build((None, 5, 5, 8))
    return layer


def test_a_grouped_convolution_is_one_with_zeros_between_the_groups():
    layer, x = grouped(), random(2, 5, 5, 8)
    expected = convolve(x, block_diagonal(layer.kernel.numpy(), 4).numpy())
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_a_grouped_convolution_has_first_and_second_gradients():
    layer, x = grouped(), tf.constant(random(2, 5, 5, 8), tf.float32)

    def gradients(convolution):
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = tf.reduce_sum(convolution(x) ** 3)
            first = inner.gradient(value, x)
            penalty = tf.reduce_sum(first**2)
        return first, outer.gradient(penalty, layer.kernel.value)

    whole = gradients(lambda x: tf.nn.conv2d(x, block_diagonal(layer.kernel.value, 4), 1, "SAME"))
    for mine, expected in zip(gradients(layer), whole, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_a_grouped_convolution_is_not_compiled_with_xla():
    """Compiled, its gradient takes minutes on a CPU: the function would carry XLA's mark."""
    layer = grouped()
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec((2, 5, 5, 8))).graph
    assert "Conv2D" in {operation.type for operation in graph.get_operations()}
    assert not any("Call" in operation.type for operation in graph.get_operations())


def test_the_kernel_is_rounded_to_bfloat16_after_it_is_divided_and_not_before():
    layer = spectral(dtype="mixed_bfloat16", iterations=5)
    layer.kernel.assign(random(3, 3, 4, 6))
    x = tf.constant(random(2, 8, 8, 4, seed=1), tf.bfloat16)
    kernel = tf.cast(layer.kernel.value / layer.singular_value(), tf.bfloat16)
    expected = tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), tf.cast(layer.bias.value, tf.bfloat16))
    np.testing.assert_array_equal(layer(x), expected)
