"""Presets learn as they stand."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.every_preset import OVER, config_of, method_of, take_two_rounds, variables
from training import draw
from training.loop.checkpoints import networks_to_save, save_network
from training.loop.engine import StepsResult, build_on
from training.presets import PRESETS


@pytest.mark.parametrize("name", ["dcgan", "lite", "sngan"])
def test_saved_networks_compute_in_float32_whatever_the_run_does(tmp_path, name):
    method = replace(PRESETS[name], latent=4, width=0.125, precision="bfloat16")
    gan, _ = build_on(OVER, config_of(method, side=16))
    for stem, network in networks_to_save(gan).items():
        save_network(tmp_path / f"{stem}.keras", network)
    for stem, trained in (("generator", gan.generator), ("discriminator", gan.discriminator)):
        saved = draw.load(tmp_path / f"{stem}.keras")
        assert {layer.compute_dtype for layer in saved.layers} == {"float32"}
        for weight, expected in zip(saved.weights, trained.weights, strict=True):
            np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize(("name", "condition"), [("wgan-gp", ""), ("sngan", "Male,Smiling"), ("lite", "Male,Smiling")])
def test_a_preset_learns_as_it_stands(name, condition):
    """Two rounds of its turns, in its own precision: losses are finite, and every kernel has moved."""
    gan, before, losses = take_two_rounds(method_of(name), condition)
    assert np.all(np.isfinite(losses))
    for variable, old in zip(variables(gan), before, strict=True):
        assert np.all(np.isfinite(variable))
        assert len(variable.shape) == 1 or not np.array_equal(variable, old), variable.path


@pytest.mark.parametrize(
    ("count", "seconds", "following"),
    [(1, 0.001, 2), (100, 0.1, 200), (100, 0.5, 100), (100, 2.0, 25), (3, 60.0, 1), (900, 0.1, 1000), (4, 0.0, 8)],
)
def test_a_call_takes_twice_the_steps_of_the_last_until_half_a_second_or_a_thousand(count, seconds, following):
    assert StepsResult(0, count, np.zeros(5), seconds).next_count == following
