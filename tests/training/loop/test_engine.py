"""What leaves a run is drawn by the moving average, where a preset has one; every preset learns as it stands."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.every_preset import OVER, config_of, method_of, take_two_rounds, variables
from training.loop.engine import build_on, sample, save_generator
from training.loop.scorer import Scorer
from training.presets import PRESETS
from training.schedule import Ramp


def test_samples_scores_and_the_saved_generator_are_the_moving_average(tmp_path):
    config = config_of(replace(PRESETS["classic"], latent=4, ema_kimg=Ramp(1.0)))
    gan, _ = build_on(OVER, config)
    for weight in gan.generator_ema.trainable_weights:
        weight.assign(tf.zeros_like(weight))  # a sigmoid of 0: middle grey
    assert set(np.unique(sample(gan, config))) == {128}
    judged = []
    Scorer(lambda faces: judged.append(faces) or {}, 10, "swd", True).score(gan, config)
    assert set(np.unique(judged)) == {128}
    save_generator(tmp_path / "generator.keras", gan)
    drawn = keras.saving.load_model(tmp_path / "generator.keras", compile=False)(np.ones((2, 4)), training=False)
    np.testing.assert_array_equal(drawn, 0.5)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_learns_as_it_stands(name):
    """Two rounds of its turns, in its own precision: losses are finite, and every kernel has moved."""
    gan, before, losses = take_two_rounds(method_of(name))
    assert np.all(np.isfinite(losses))
    for variable, old in zip(variables(gan), before, strict=True):
        assert np.all(np.isfinite(variable))
        assert len(variable.shape) == 1 or not np.array_equal(variable, old), variable.path


def test_all_three_networks_are_of_the_width_that_was_asked_for():
    gan, _ = build_on(OVER, config_of(replace(PRESETS["lite"], width=0.5), side=16))
    networks = (gan.generator.network, gan.generator_ema, gan.discriminator.network)
    filters = [[layer.filters for layer in network.layers if hasattr(layer, "filters")] for network in networks]
    assert filters == [[16, 1], [16, 1], [16, 32]]


def test_presets_are_those_of_their_papers():
    """Radford et al. 2016, section 4; Gulrajani et al. 2017, algorithm 1; Miyato et al. 2018; R3GAN's FFHQ-64."""
    dcgan, wgan_gp, sngan, r3gan = (PRESETS[name] for name in ("dcgan", "wgan-gp", "sngan", "r3gan"))
    assert (dcgan.latent, dcgan.latent_distribution, dcgan.batch_size) == (100, "uniform", 128)
    assert (dcgan.loss, dcgan.lr_g, dcgan.lr_d, dcgan.beta_1) == ("cross_entropy", Ramp(2e-4), Ramp(2e-4), 0.5)
    assert (wgan_gp.loss, wgan_gp.critic_steps, wgan_gp.gradient_penalty) == ("wasserstein", 5, 10.0)
    assert (wgan_gp.lr_g, wgan_gp.lr_d, wgan_gp.beta_1, wgan_gp.beta_2) == (Ramp(1e-4), Ramp(1e-4), 0.0, Ramp(0.9))
    assert (sngan.loss, sngan.critic_steps, sngan.batch_size) == ("hinge", 5, 64)
    assert (sngan.lr_g, sngan.lr_d, sngan.beta_1, sngan.beta_2) == (Ramp(2e-4), Ramp(2e-4), 0.0, Ramp(0.9))
    assert (r3gan.loss, r3gan.batch_size, r3gan.latent, r3gan.penalty_every) == ("relativistic", 256, 64, 1)
    assert r3gan.r1_gamma == r3gan.r2_gamma == Ramp(2.0, 0.2)
    assert r3gan.lr_g == r3gan.lr_d == Ramp(2e-4, 5e-5)
    assert (r3gan.beta_1, r3gan.beta_2, r3gan.ema_kimg, r3gan.ramp_kimg) == (
        0.0, Ramp(0.9, 0.99), Ramp(0.0, 500.0), 20_000
    )  # fmt: skip
    assert (r3gan.augment_probability, r3gan.flip, r3gan.precision) == (Ramp(0.0, 0.3), True, "bfloat16")
