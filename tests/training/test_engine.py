"""What leaves a run is drawn by the moving average, where a preset has one; every preset learns as it stands."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from training.config import Config
from training.engine import build_on, compile_steps, sample, save_generator
from training.presets import PRESETS
from training.progress import means
from training.ramp import Ramp
from training.scorer import Scorer
from training.step import turns
from training.strategy import Devices

OVER = Devices("any", tf.distribute.get_strategy())


def config_of(method, side=8, channels=1):
    return Config("any", method, 3, "train", 1000, "abc", (side, side, channels), cache=True)


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
    method = replace(PRESETS[name], batch_size=4)
    config = config_of(method)
    gan, progress = build_on(OVER, config)
    networks = (gan.generator.network, gan.discriminator.network)
    kernels = [weight for network in networks for weight in network.trainable_weights if len(weight.shape) > 1]
    before = [kernel.numpy() for kernel in kernels]
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), dtype=np.uint8)
    steps = 2 * len(turns(method))  # the first moves only the zeros at the end of R3GAN's blocks
    run_steps = compile_steps(gan, progress, config, OVER)
    sums = run_steps(iter(tf.data.Dataset.from_tensors(images).repeat()), tf.constant(steps, tf.int64))
    assert np.all(np.isfinite(means(sums.numpy(), steps)))
    for kernel, old in zip(kernels, before, strict=True):
        assert np.all(np.isfinite(kernel))
        assert not np.array_equal(kernel, old), kernel.path


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
