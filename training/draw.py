"""Faces from rows of an endless table of z, which a seed names: whoever draws the same rows sees the same faces."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from click import UsageError

from training.grid import to_pixels
from training.models.noise import Purpose, latent

BATCH = 32
"""Faces at once: `r3gan` takes some 80 MB for each on a CPU. `lite` draws 2,048 in 2.1 s, by 128 at once in 1.7 s."""


def load(path: Path) -> keras.Model:
    """The generator that a run has saved.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"{path} cannot be read ({error}). The run writes it anew when it ends an epoch: continue it."
        ) from None


@lru_cache(maxsize=2)
def _compiled(generator: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """The generator as a graph, traced once for as long as it is drawn from.

    In a graph what one layer returns is freed once the next has read it: 2.7 GB in place of 4.2 for 16 of `r3gan`.
    """
    any_count = tf.TensorSpec((None, *generator.input_shape[1:]), keras.config.floatx())
    return tf.function(lambda z: generator(z, training=False), input_signature=[any_count])


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
    size, generate = generator.input_shape[-1], _compiled(generator)
    parts = []
    for first in range(0, count, BATCH):
        rows = min(BATCH, count - first)
        z = latent((seed, Purpose.SAMPLE), first, rows, size, distribution)
        parts.append(to_pixels(generate(z).numpy()))
        drawn(rows)
    return np.concatenate(parts)
