"""How far a run is: what a checkpoint holds besides the networks."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from keras.config import floatx

VALUES = 5
"""A step returns D's loss, G's loss, the norms of their gradients, and whether G was updated: float32 [VALUES]."""


class Progress(tf.Module):
    """The counters of a run."""

    def __init__(self):
        super().__init__()
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        # What the steps of the running epoch returned, summed in float64: the same to the last bit whether or not the
        # run stopped within it.
        self.sums = tf.Variable(tf.zeros(VALUES, tf.float64), trainable=False)
        self.epoch_seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self.rollbacks = tf.Variable(0, dtype=tf.int64, trainable=False)
        # Both learning rates are multiplied by it.
        self.lr_scale = tf.Variable(1.0, dtype=floatx(), trainable=False)


def means(sums: np.ndarray, steps: int) -> tuple[float, float, float, float]:
    """D's loss, G's loss, and the norms of their gradients, per update, from the sum of what `steps` steps returned.

    Where no step updated G its loss and gradient are NaN.
    """
    d_loss, g_loss, d_gradient, g_gradient, updates = np.asarray(sums).tolist()
    of_g = 1.0 / updates if updates else float("nan")
    return d_loss / steps, g_loss * of_g, d_gradient / steps, g_gradient * of_g
