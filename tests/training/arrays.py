"""Arrays that several tests of the networks need."""

import numpy as np
import tensorflow as tf


def block_diagonal(kernel, groups):
    """A grouped kernel [height, width, in / groups, out] as an ungrouped one, with zeros between the groups."""
    columns = tf.split(tf.convert_to_tensor(kernel), groups, axis=-1)
    zeros = tf.zeros_like(columns[0])
    return tf.concat([tf.concat([c if i == j else zeros for i in range(groups)], 2) for j, c in enumerate(columns)], 3)


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
