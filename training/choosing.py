"""Faces chosen among several, so that fewer of them are broken."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from training import draw
from training.metrics import efficientnet
from training.metrics.space import BATCH
from training.metrics.wholeness import Normal

REFERENCE = 1_000  # faces of the generator that say what is usual; photos in their place choose no better


def best_of(
    choices: int,
    z: np.ndarray,
    generator: keras.Model,
    distribution: str,
    labels: np.ndarray | None = None,
    on_progress: Callable[[int], object] = lambda rows: None,
) -> np.ndarray:
    """Return of every `choices` z the one whose face is the least odd among the generator's faces.

    Of each group and not of all together: so a face depends on its own group alone, and no kind of face is left out,
    as all those beyond a threshold would be.

    Args:
        choices: z in a group.
        z: float32 [count * choices, length of z].
        generator: of z, or z and labels.
        distribution: of z, "uniform" or "normal".
        labels: of each group, float32 [count, conditions], -1 or 1, where the generator takes any.
        on_progress: called with the number of z after each batch.

    Raises:
        UsageError: the weights of EfficientNet are missing.
    """
    space = efficientnet.face_space(generator.output_shape[1:])

    def maps(z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return space.features(draw.render(generator, z, labels))

    usual = draw.latents(generator, REFERENCE, 0, distribution)
    normal = Normal.of(maps(usual, None if labels is None else np.resize(labels, (REFERENCE, labels.shape[1]))))
    each_label = None if labels is None else np.repeat(labels, choices, axis=0)
    oddness = []
    for first in range(0, len(z), BATCH):
        rows = slice(first, first + BATCH)
        oddness.append(normal.oddness(maps(z[rows], None if each_label is None else each_label[rows])))
        on_progress(len(oddness[-1]))
    least = np.concatenate(oddness).reshape(-1, choices).argmin(1)
    return z[choices * np.arange(len(least)) + least]
