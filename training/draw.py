"""Faces from rows of an endless table of z, which a seed names: whoever draws the same rows sees the same faces."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from training.grid import to_pixels
from training.noise import Purpose, latent

BATCH = 256


def faces(
    generator: keras.Model,
    count: int,
    seed: int,
    distribution: str,
    drawn: Callable[[int], object] = lambda rows: None,
) -> np.ndarray:
    """Draw the first `count` faces of a seed: uint8 [count, height, width, channels].

    Args:
        generator: from z to images in [0, 1]; what it draws beyond is clipped.
        count: how many.
        seed: which table.
        distribution: of z, "uniform" or "normal".
        drawn: told how many faces have been added.
    """
    size = generator.input_shape[-1]
    parts = []
    for first in range(0, count, BATCH):
        rows = min(BATCH, count - first)
        z = latent((seed, Purpose.SAMPLE), first, rows, size, distribution)
        parts.append(to_pixels(generator(z, training=False).numpy()))
        drawn(rows)
    return np.concatenate(parts)
