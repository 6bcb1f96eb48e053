"""How far a run is: the counters that a checkpoint holds besides the networks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from training.models.precision import full_precision


class StepValues(NamedTuple):
    """What one step returns: scalars, stacked in this order in float32 [NUM_VALUES]."""

    d_loss: tf.Tensor
    """The discriminator's adversarial loss, without penalties."""
    g_loss: tf.Tensor
    """0 where the step did not update the generator."""
    d_gradient: tf.Tensor
    """L2 norm over all of the discriminator's variables, before clipping."""
    g_gradient: tf.Tensor
    generator_updates: tf.Tensor
    """1 where the step updated the generator, else 0."""


NUM_VALUES = len(StepValues._fields)


class StepMeans(NamedTuple):
    """Means per update over several steps; NaN for the generator where no step updated it."""

    d_loss: float
    g_loss: float
    d_gradient: float
    g_gradient: float


class Progress(tf.Module):
    """The counters of a run."""

    def __init__(self):
        super().__init__()
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        # Sums of the StepValues of the current epoch, in float64: the same to the last bit whether or not the run was
        # interrupted.
        self.sums = tf.Variable(tf.zeros(NUM_VALUES, tf.float64), trainable=False)
        self.epoch_seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self.rollbacks = tf.Variable(0, dtype=tf.int64, trainable=False)
        # Factor of both learning rates.
        self.lr_scale = tf.Variable(1.0, dtype=full_precision(), trainable=False)


def means(sums: np.ndarray, steps: int) -> StepMeans:
    """Return the means per update from the sums, float64 [NUM_VALUES], over `steps` steps."""
    total = StepValues(*np.asarray(sums).tolist())
    per_g_update = 1.0 / total.generator_updates if total.generator_updates else float("nan")
    return StepMeans(
        d_loss=total.d_loss / steps,
        g_loss=total.g_loss * per_g_update,
        d_gradient=total.d_gradient / steps,
        g_gradient=total.g_gradient * per_g_update,
    )
