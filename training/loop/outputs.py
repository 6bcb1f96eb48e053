"""What a run gives away of its generator: faces from fixed z, and the generator as a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click import UsageError

from system.files import replacing_by_zip
from training import draw
from training.config import Config
from training.models.gan import GAN

NUM_SAMPLES = 64


def sample(gan: GAN, config: Config, labels: np.ndarray | None = None, count: int = NUM_SAMPLES) -> np.ndarray:
    """Return faces from the run's fixed z: uint8 [count, height, width, channels]. Only the generator differs.

    `labels` is float32 [count, conditions], or None where the run has no conditions.
    """
    return draw.faces(gan.generator_ema, count, config.seed, config.method.latent_distribution, labels)


def save_generator(path: Path, gan: GAN) -> None:
    """Write the generator that samples come from as a .keras file, which plain Keras loads.

    It computes in float32, which every processor does, and which exported files and the page are held against.
    """
    with replacing_by_zip(path) as parts:
        gan.generator_ema.save(parts, zipped=False)


def holds_generator(path: Path, gan: GAN) -> bool:
    """Return whether this file holds the generator as it is now."""
    weights = gan.generator_ema.get_weights()
    try:
        saved = draw.load(path).get_weights()
    except UsageError:  # there is none, or it is damaged
        return False
    return all(map(np.array_equal, saved, weights))
