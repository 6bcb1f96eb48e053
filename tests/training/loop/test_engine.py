"""Presets learn, and their networks are saved and begun with as they are."""

from dataclasses import replace

import numpy as np
import pytest
from click import UsageError

from tests.training.every_preset import OVER, WIDTHS, config_of, method_of, over_two, take_two_rounds, variables
from training import draw
from training.loop.checkpoints import load_networks, networks_to_save, save_network
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
        np.testing.assert_equal(saved.get_weights(), trained.get_weights())


@pytest.mark.parametrize(("name", "condition"), [("classic", "Male"), ("lite", "Male,Smiling")])
def test_a_run_begins_with_what_another_has_saved_on_every_device(tmp_path, name, condition):
    config = config_of(replace(PRESETS[name], width=WIDTHS[name], precision="bfloat16"), 16, condition=condition)
    earlier, _ = build_on(OVER, config)
    random = np.random.default_rng(0)
    for network in (earlier.generator, earlier.generator_ema, earlier.discriminator):
        network.set_weights([random.normal(size=weight.shape) for weight in network.weights])
    for stem, network in networks_to_save(earlier).items():
        save_network(tmp_path / f"{stem}.keras", network)
    two = over_two()
    begun, _ = build_on(two, replace(config, seed=4), load_networks(tmp_path)[0])
    for network, expected in (
        (begun.generator, earlier.generator_ema),
        (begun.generator_ema, earlier.generator_ema),
        (begun.discriminator, earlier.discriminator),
    ):
        for weight, value in zip(network.weights, expected.get_weights(), strict=True):
            for on_device in two.strategy.experimental_local_results(weight.value):
                np.testing.assert_array_equal(on_device, value)
    for optimizer in (begun.g_optimizer, begun.d_optimizer):
        assert not any(np.any(variable) for variable in optimizer.variables[2:]), "moments"


def test_without_a_saved_discriminator_it_begins_with_the_seed_and_networks_that_do_not_fit_are_refused():
    config = config_of(method_of("classic"))
    other, _ = build_on(OVER, replace(config, seed=4))
    begun, _ = build_on(OVER, config, {"generator": other.generator_ema})
    plain, _ = build_on(OVER, config)
    for network, expected in ((begun.generator, other.generator), (begun.discriminator, plain.discriminator)):
        np.testing.assert_equal(network.get_weights(), expected.get_weights())
    wider = replace(config, method=replace(config.method, width=0.5), init="runs/narrow")
    with pytest.raises(UsageError, match="The networks in runs/narrow are not those of its config"):
        build_on(OVER, wider, {"generator": other.generator_ema})


@pytest.mark.parametrize(
    ("name", "turns", "condition"),
    [
        ("wgan-gp", {"critic_steps": 1}, ""),  # whole steps alone: each kind takes as long again to compile
        ("sngan", {}, "Male,Smiling"),
        ("lite", {"penalty_every": 1}, "Male,Smiling"),
    ],
)
def test_a_preset_learns(name, turns, condition):
    """Two rounds of its turns, in its own precision: losses are finite, and every kernel has moved."""
    gan, before, losses = take_two_rounds(replace(method_of(name), **turns), condition)
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
