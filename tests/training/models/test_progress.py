import math

import numpy as np
import pytest

from training.models.progress import Progress, StepValues, means


def test_means_are_per_step_and_those_of_the_generator_per_update():
    sums = np.array(StepValues(d_loss=6.0, g_loss=4.0, d_gradient=3.0, g_gradient=1.0, generator_updates=2.0))
    assert means(sums, 6) == pytest.approx((1.0, 2.0, 0.5, 0.5))


def test_a_generator_that_was_not_updated_has_no_means():
    found = means(np.array([6.0, 0.0, 3.0, 0.0, 0.0]), 3)
    assert (found.d_loss, found.d_gradient) == (2.0, 1.0)
    assert math.isnan(found.g_loss)
    assert math.isnan(found.g_gradient)


def test_counters_begin_at_the_beginning_and_none_is_a_weight():
    progress = Progress()
    assert [int(variable.numpy()) for variable in (progress.step, progress.rollbacks)] == [0, 0]
    assert (progress.sums.numpy().tolist(), progress.sums.dtype) == ([0.0] * 5, "float64")
    assert (float(progress.epoch_seconds), float(progress.lr_scale)) == (0.0, 1.0)
    assert progress.trainable_variables == ()
