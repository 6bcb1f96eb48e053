"""What leaves a run is drawn by the moving average, where a preset has one; every preset learns as it stands."""

from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.every_preset import OVER, config_of, method_of, take_two_rounds, variables
from training.loop.engine import StepsResult, build_on
from training.loop.outputs import sample, save_generator
from training.loop.scores import score
from training.presets import PRESETS
from training.schedule import CosineSchedule


def test_samples_scores_and_the_saved_generator_are_the_moving_average(tmp_path):
    config = config_of(replace(PRESETS["classic"], latent=4, ema_kimg=CosineSchedule(1.0)))
    gan, _ = build_on(OVER, config)
    for weight in gan.generator_ema.trainable_weights:
        weight.assign(tf.zeros_like(weight))  # a sigmoid of 0: middle grey
    assert set(np.unique(sample(gan, config))) == {128}
    scored = []
    evaluator = SimpleNamespace(
        count=10, labels=None, sample_of=lambda faces: faces, score=lambda faces: scored.append(faces) or {}
    )
    score(evaluator, gan, config, 1)
    assert set(np.unique(scored)) == {128}
    save_generator(tmp_path / "generator.keras", gan)
    drawn = keras.saving.load_model(tmp_path / "generator.keras", compile=False)(np.ones((2, 4)), training=False)
    np.testing.assert_array_equal(drawn, 0.5)


def test_the_saved_generator_computes_in_float32_whatever_the_run_does(tmp_path):
    gan, _ = build_on(OVER, config_of(replace(PRESETS["dcgan"], latent=4, width=0.125, precision="bfloat16"), side=16))
    save_generator(tmp_path / "generator.keras", gan)
    saved = keras.saving.load_model(tmp_path / "generator.keras", compile=False)
    assert {layer.compute_dtype for layer in saved.layers} == {"float32"}
    for weight, trained in zip(saved.weights, gan.generator.weights, strict=True):
        np.testing.assert_array_equal(weight, trained)


@pytest.mark.parametrize("condition", ["", "Male,Smiling"], ids=["plain", "conditional"])
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_learns_as_it_stands(name, condition):
    """Two rounds of its turns, in its own precision: losses are finite, and every kernel has moved."""
    gan, before, losses = take_two_rounds(method_of(name), condition)
    assert np.all(np.isfinite(losses))
    for variable, old in zip(variables(gan), before, strict=True):
        assert np.all(np.isfinite(variable))
        assert len(variable.shape) == 1 or not np.array_equal(variable, old), variable.path


def test_all_three_networks_are_of_the_width_that_was_asked_for():
    gan, _ = build_on(OVER, config_of(replace(PRESETS["lite"], width=0.5), side=16))
    networks = (gan.generator, gan.generator_ema, gan.discriminator)
    filters = [[layer.filters for layer in network.layers if hasattr(layer, "filters")] for network in networks]
    assert filters == [[16, 1], [16, 1], [16, 8, 8, 16, 32, 8, 8, 32]]


@pytest.mark.parametrize(
    ("count", "seconds", "following"),
    [
        (1, 0.001, 2),  # twice as many, while a call takes less than half a second
        (100, 0.1, 200),
        (100, 0.5, 100),
        (100, 2.0, 25),
        (3, 60.0, 1),
        (900, 0.1, 1000),  # and at most a thousand
        (4, 0.0, 8),
    ],
)
def test_a_call_into_tensorflow_takes_about_half_a_second(count, seconds, following):
    assert StepsResult(0, count, np.zeros(5), seconds).next_count == following
