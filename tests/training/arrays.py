"""Arrays that several tests of the networks need."""

import keras
import numpy as np
import tensorflow as tf


def block_diagonal(kernel, groups):
    """A grouped kernel [height, width, in / groups, out] as an ungrouped one, with zeros between the groups."""
    columns = tf.split(tf.convert_to_tensor(kernel), groups, axis=-1)
    zeros = tf.zeros_like(columns[0])
    return tf.concat([tf.concat([c if i == j else zeros for i in range(groups)], 2) for j, c in enumerate(columns)], 3)


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def in_float64(network):
    """The same network in float64, a grouped convolution as one with zeros between its groups."""

    def remade(layer):
        twin = type(layer).from_config({**layer.get_config(), "dtype": "float64"})
        if getattr(layer, "groups", 1) > 1:
            twin.convolution_op = lambda x, kernel: tf.nn.conv2d(x, block_diagonal(kernel, layer.groups), 1, "SAME")
        return twin

    # In float64 from the input on, or the gradient is rounded on its way out.
    inputs = keras.tree.map_structure(lambda entry: keras.Input(entry.shape[1:], dtype="float64"), network.input)
    return keras.models.clone_model(network, inputs, clone_function=remade)
