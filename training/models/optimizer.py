"""Adam as the papers have it, and the curve of every schedule."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import tensorflow as tf

from training.models.precision import full_precision
from training.presets import Preset


class Adam(keras.optimizers.Adam):
    """Adam (Kingma and Ba 2015, algorithm 1) of gradients that are summed over the replicas already.

    `learning_rate` and `beta_2` are those of the current step. `epsilon` is added to the root of the unbiased second
    moment, as in the paper and in PyTorch; None is for Keras's form, which adds 1e-7 before the bias is corrected.
    """

    def __init__(
        self,
        learning_rate: Callable[[], tf.Tensor],
        beta_1: float,
        beta_2: Callable[[], tf.Tensor],
        epsilon: float | None,
    ):
        super().__init__(learning_rate, beta_1)
        self._beta_2_of_step, self._unbiased_epsilon = beta_2, epsilon

    def _backend_update_step(self, gradients: list, variables: list, learning_rate: tf.Tensor) -> None:
        """Compute once what all variables share."""
        step, beta_2 = tf.cast(self.iterations + 1, full_precision()), self._beta_2_of_step()
        correction = tf.sqrt(1.0 - beta_2**step)
        zero = tf.zeros_like(step)
        shared = {
            "beta1_power": zero,  # the operation's own correction of the bias, which does nothing so
            "beta2_power": zero,
            "lr": learning_rate * correction / (1.0 - self.beta_1**step),
            "beta2": beta_2,
            "epsilon": self.epsilon if self._unbiased_epsilon is None else self._unbiased_epsilon * correction,
        }
        super()._backend_update_step(gradients, variables, shared)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, shared: dict[str, tf.Tensor]) -> None:
        """Update one variable."""
        index = self._get_variable_index(variable)
        m, v = self._momentums[index].value, self._velocities[index].value
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle, m=m.handle, v=v.handle, grad=gradient, beta1=self.beta_1, **shared
        )

    def _all_reduce_sum_gradients(self, grads_and_vars: list) -> list:
        return grads_and_vars  # Keras would sum them over the replicas a second time


def cosine_decay(method: Preset, step: tf.Tensor) -> tf.Tensor:
    """Return the weight of the start of every `CosineSchedule` at a step: float32, 1 to 0 along half a cosine.

    Huang et al. 2024, `cosine_decay_with_warmup` of R3GAN's code.
    """
    if not method.ramp_kimg:
        return tf.ones([], full_precision())
    done = tf.cast(step, full_precision()) * (method.batch_size / (1000.0 * method.ramp_kimg))
    return 0.5 * (1.0 + tf.cos(math.pi * tf.minimum(done, 1.0)))
