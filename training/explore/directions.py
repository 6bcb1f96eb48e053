"""Directions in the space of z along which one attribute of a face changes.

Where an attribute is in z is found from the scores that a network of attributes gives to many generated faces, by a
linear model in closed form; Shen et al. 2020, "Interpreting the Latent Space of GANs for Semantic Face Editing"
(InterFaceGAN), fit a support vector machine for it. `refining` then makes the others change less. Without attributes
there are the directions that move the first layer's output most: Shen and Zhou 2021, "Closed-Form Factorization of
Latent Semantics in GANs" (SeFa).
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from click import UsageError
from scipy.stats import rankdata

from system.files import replacing

FILE_NAME = "directions.npz"

SPREADS = {"normal": 1.0, "uniform": 3**-0.5}
"""Standard deviation of each number of z, by the distribution: the unit of a strength."""


@dataclass(frozen=True, eq=False)
class Directions:
    """Directions in z, and what each is called."""

    names: tuple[str, ...]
    vectors: np.ndarray
    """float32 [names, length of z], in standard deviations of z: the step of strength 1. Found by `find` or
    `factorise` they are of length 1."""
    auc: np.ndarray
    """float32 [names]: area under the ROC curve of the place along the direction of `find`, for z that it was not found
    from: 1 where z decides the answer, 0.5 by chance. NaN where all answers are the same or no attributes were
    scored."""
    is_calibrated: np.ndarray
    """bool [names]: whether `refining` has made the vector such that the same strength changes as many faces; not where
    it would have to be longer than it may be."""
    generator: str = ""
    """`training.draw.digest` of the generator that they were found for."""

    def edit(self, z: np.ndarray, strengths: Mapping[str, float], distribution: str) -> np.ndarray:
        """Return z moved along directions: float32, the same shape.

        Args:
            z: float32 [..., length of z].
            strengths: by the name of a direction, in its vector's lengths; negative ones go the other way.
            distribution: of z. "normal" z keep their lengths, "uniform" ones stay within -1 and 1.
        """
        step = sum(strength * self.vectors[self.names.index(name)] for name, strength in strengths.items())
        moved = z + np.asarray(SPREADS[distribution] * step, np.float32)
        if distribution == "uniform":
            return np.clip(moved, -1, 1)
        before, after = (np.linalg.norm(rows, axis=-1, keepdims=True) for rows in (z, moved))
        return (moved * before / np.maximum(after, 1e-12)).astype(np.float32)


def find(names: Sequence[str], z: np.ndarray, logits: np.ndarray) -> Directions:
    """Find for each attribute the direction along which its score rises most.

    Args:
        names: the attributes.
        z: float32 [count, length], thousands of them.
        logits: float32 [count, attributes]: what a network says of the face of each.
    """
    fitted = slice(0, 4 * len(z) // 5)
    centred = (z - z[fitted].mean(axis=0)).astype(np.float64)
    scores = (logits - logits[fitted].mean(axis=0)) / np.maximum(logits[fitted].std(axis=0), 1e-6)
    slopes = np.linalg.lstsq(centred[fitted], scores[fitted], rcond=None)[0].T  # [attributes, length]
    vectors = slopes / np.maximum(np.linalg.norm(slopes, axis=1, keepdims=True), 1e-12)
    places = centred @ slopes.T
    tested = slice(fitted.stop, None)
    auc = [area_under_curve(places[tested, index], logits[tested, index] > 0) for index in range(len(names))]
    return _uncalibrated(names, vectors, auc)


def area_under_curve(places: np.ndarray, answers: np.ndarray) -> float:
    """Return how often a yes lies above a no: the area under the ROC curve. NaN without a yes or without a no."""
    yes = int(answers.sum())
    if yes in (0, len(answers)):
        return float("nan")
    return float((rankdata(places)[answers].mean() - (yes + 1) / 2) / (len(answers) - yes))


def _uncalibrated(names: Sequence[str], vectors: np.ndarray, auc: Sequence[float]) -> Directions:
    arrays = vectors.astype(np.float32), np.array(auc, np.float32), np.zeros(len(names), bool)
    return Directions(tuple(names), *arrays)


def factorise(kernel: np.ndarray, count: int) -> Directions:
    """Return the `count` directions that move the output of the first layer most, the strongest first.

    Args:
        kernel: of the layer that takes z, [length of z, outputs].
        count: at most the length of z.
    """
    _, vectors = np.linalg.eigh(np.asarray(kernel, np.float64) @ np.asarray(kernel, np.float64).T)
    strongest = vectors.T[::-1][:count]
    names = tuple(f"direction_{number}" for number in range(1, len(strongest) + 1))
    return _uncalibrated(names, strongest, [np.nan] * len(strongest))


def save(folder: Path, directions: Directions) -> None:
    """Write directions.npz into a run's folder: the fields of `Directions`, for `numpy.load`."""
    with replacing(folder / FILE_NAME) as partial, partial.open("wb") as file:
        np.savez(file, **vars(directions))


def outdated(folder: Path, directions: Directions, generator: str) -> str:
    """Return a warning where the generator is another one than the directions were found for, else ""."""
    if directions.generator == generator:
        return ""
    return (
        f"The directions of {folder} were found for an earlier state of its generator. "
        f"Find them again with: python -m training.directions --run {folder} --shards data/*.tfrecord"
    )


def load(folder: Path) -> Directions:
    """Return what `save` wrote.

    Raises:
        UsageError: there is nothing, or it cannot be read.
    """
    path = folder / FILE_NAME
    how = f"Find directions with: python -m training.directions --run {folder} --shards data/*.tfrecord"
    try:
        with np.load(path) as saved:
            names, generator = tuple(map(str, saved["names"])), str(saved["generator"])
            return Directions(names, saved["vectors"], saved["auc"], saved["is_calibrated"], generator)
    except FileNotFoundError:
        raise UsageError(f"{path} is not there yet. {how}") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} cannot be read ({error}). {how}") from None
