"""Every setting of every preset as its paper, its code, or the search behind it has it."""

from dataclasses import asdict

import pytest

from training.presets import PRESETS, Preset
from training.schedule import CosineSchedule

# The specification's tutorial, with DCGAN's Adam: what a preset says nothing else of.
CLASSIC = {
    "network": "classic",
    "width": 1.0,
    "latent": 100,
    "latent_distribution": "uniform",
    "loss": "cross_entropy",
    "san": False,
    "critic_steps": 1,
    "r1_gamma": (0.0, None),
    "r2_gamma": (0.0, None),
    "gradient_penalty": 0.0,
    "penalty_every": 1,
    "batch_size": 64,
    "lr_g": (2e-4, None),
    "lr_d": (2e-4, None),
    "beta_1": 0.5,
    "beta_2": (0.999, None),
    "epsilon": 0.0,
    "clip_norm": None,
    "ramp_kimg": 0.0,
    "ema_kimg": (0.0, None),
    "flip": False,
    "augment": "",
    "augment_probability": (1.0, None),
    "precision": "float32",
}

# What each has otherwise.
TABLE = {
    "classic": {},
    # Radford et al. 2016, section 4: batches of 128, Adam 2e-4 and 0.5.
    "dcgan": {"network": "dcgan", "batch_size": 128},
    # Gulrajani et al. 2017, algorithm 1: lambda 10, 5 critic steps, batches of 64, Adam 1e-4, 0 and 0.9.
    "wgan-gp": {
        "network": "wgan_gp",
        "latent": 128,
        "latent_distribution": "normal",
        "loss": "wasserstein",
        "critic_steps": 5,
        "gradient_penalty": 10.0,
        "lr_g": (1e-4, None),
        "lr_d": (1e-4, None),
        "beta_1": 0.0,
        "beta_2": (0.9, None),
    },
    # Miyato et al. 2018, table 6: hinge, 5 critic steps, batches of 64, Adam 2e-4, 0 and 0.9.
    "sngan": {
        "network": "sngan",
        "latent": 128,
        "latent_distribution": "normal",
        "loss": "hinge",
        "critic_steps": 5,
        "beta_1": 0.0,
        "beta_2": (0.9, None),
    },
    # Huang et al. 2024, its FFHQ-64: schedules over 20 million photos.
    "r3gan": {
        "network": "r3gan",
        "latent": 64,
        "latent_distribution": "normal",
        "loss": "relativistic",
        "r1_gamma": (2.0, 0.2),
        "r2_gamma": (2.0, 0.2),
        "batch_size": 256,
        "lr_g": (2e-4, 5e-5),
        "lr_d": (2e-4, 5e-5),
        "beta_1": 0.0,
        "beta_2": (0.9, 0.99),
        "epsilon": 1e-8,
        "ramp_kimg": 20_000.0,
        "ema_kimg": (0.0, 500.0),
        "flip": True,
        "augment": "ada",
        "augment_probability": (0.0, 0.3),
        "precision": "bfloat16",
    },
    # This project's own, of which docs and README give the figures: they hold for these settings alone.
    "lite": {
        "network": "bottleneck",
        "latent": 64,
        "latent_distribution": "normal",
        "san": True,
        "r1_gamma": (0.5, 2.0),
        "r2_gamma": (0.5, 2.0),
        "penalty_every": 4,
        "batch_size": 32,
        "lr_g": (6e-4, 5e-5),
        "lr_d": (6e-4, 5e-5),
        "beta_1": 0.0,
        "beta_2": (0.99, None),
        "ramp_kimg": 600.0,
        "ema_kimg": (0.5, 15.0),
        "flip": True,
        "precision": "bfloat16",
    },
}


def test_the_table_has_every_preset():
    assert TABLE.keys() == PRESETS.keys()


@pytest.mark.parametrize("name", TABLE)
def test_a_preset_is_what_its_source_says(name):
    settings = asdict(PRESETS[name])
    ramps = {key: CosineSchedule(*value) for key, value in (CLASSIC | TABLE[name]).items() if isinstance(value, tuple)}
    assert {key: getattr(PRESETS[name], key) for key in settings} == CLASSIC | TABLE[name] | ramps


def test_a_run_that_an_older_version_began_has_the_settings_of_that_time():
    """A setting that config.json does not name is what it was before there was one: the default may never change."""
    defaults = {key: CosineSchedule(*value) if isinstance(value, tuple) else value for key, value in CLASSIC.items()}
    assert {key: getattr(Preset(network="classic"), key) for key in defaults} == defaults
