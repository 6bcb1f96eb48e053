"""Faces chosen among several, so that fewer of them are broken."""

from __future__ import annotations

import keras
import numpy as np
from click import UsageError

from training import draw
from training.metrics import efficientnet
from training.metrics.space import BATCH, progress
from training.metrics.wholeness import PatchGaussians

REFERENCE = 1_000  # faces of the generator that say what is usual; photos in their place choose no better
MAX_DRAWN = 10_000_000  # faces to choose from, whose z are in memory


def latents(
    generator: keras.Model,
    count: int,
    seed: int,
    distribution: str,
    best_of: int = 1,
    labels: np.ndarray | None = None,
    truncation: float = 1.0,
) -> np.ndarray:
    """Return z of a seed, float32 [count, length of z]: of each `best_of` the one whose face is the least odd.

    Of each group and not of all together: so a face depends on its own group alone, and no kind of face is left out,
    as all those beyond a threshold would be. `labels` are those of each group, float32 [count, conditions], -1 or 1,
    where the generator takes any; for the other arguments see `draw.latents`. Raises UsageError where the weights of
    EfficientNet are missing, and there is something to choose, and where more than `MAX_DRAWN` faces would be drawn.
    """
    if count * best_of > MAX_DRAWN:
        raise UsageError(f"{count:,} faces by --best-of {best_of} are more than {MAX_DRAWN:,} to draw: choose fewer.")
    z = draw.latents(generator, count * best_of, seed, distribution, truncation)
    if best_of == 1:
        return z
    space = efficientnet.face_space(generator.output_shape[1:])

    def maps(z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return space.features(draw.render(generator, z, labels))

    usual = draw.latents(generator, REFERENCE, 0, distribution, truncation)
    usual_labels = None if labels is None else np.resize(labels, (REFERENCE, labels.shape[1]))
    gaussians = PatchGaussians.of(maps(usual, usual_labels))
    each_label = None if labels is None else np.repeat(labels, best_of, axis=0)
    oddness = []
    with progress(len(z), "Choosing") as bar:
        for first in range(0, len(z), BATCH):
            rows = slice(first, first + BATCH)
            oddness.append(gaussians.anomaly_score(maps(z[rows], None if each_label is None else each_label[rows])))
            bar.update(len(oddness[-1]))
    least = np.concatenate(oddness).reshape(-1, best_of).argmin(1)
    return z[best_of * np.arange(count) + least]


def described(best_of: int, truncation: float = 1.0) -> str:
    """Return how faces were chosen, to be said wherever they are shown; an empty string where they are as drawn."""
    chosen = f", each the least odd of {best_of}" if best_of > 1 else ""
    return chosen + (f", z times {truncation:g}" if truncation < 1 else "")
