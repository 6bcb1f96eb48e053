"""Directions in the space of z, the file that keeps them, and two ways to find them.

`find` fits a linear model, in closed form, to the logits that a classifier of attributes gives to many generated faces;
Shen et al. 2020, "Interpreting the Latent Space of GANs for Semantic Face Editing" (InterFaceGAN), fit a support vector
machine. `factorise` needs no attributes: it returns the directions that move the first layer's output most; Shen and
Zhou 2021, "Closed-Form Factorization of Latent Semantics in GANs" (SeFa).
"""

from __future__ import annotations

import shlex
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from click import UsageError

from system.files import replacing

FILE_NAME = "directions.npz"

# Standard deviation of each number of z, by the distribution: the unit of a strength.
SPREADS = {"normal": 1.0, "uniform": 3**-0.5}


@dataclass(frozen=True, eq=False)
class Directions:
    """Directions in z, and what each is called."""

    names: tuple[str, ...]
    # float32 [names, length of z], in standard deviations of z: the step of strength 1. Those of `find` and `factorise`
    # have length 1.
    vectors: np.ndarray
    # float32 [names]: area under the ROC curve of the projection on the direction of `find`, for z that it was not
    # fitted to: 1 where z decides the attribute, 0.5 by chance. NaN where all faces agree, and for `factorise`.
    auc: np.ndarray
    # bool [names]: whether `refining` could scale the vector such that the same strength changes as many faces as along
    # other directions, within its largest length.
    is_calibrated: np.ndarray
    generator: str = ""  # `training.draw.digest` of the generator that they belong to

    def edit(self, z: np.ndarray, strengths: Mapping[str, float], distribution: str) -> np.ndarray:
        """Return z moved along directions: float32, the same shape.

        Args:
            z: float32 [..., length of z].
            strengths: by the name of a direction, in lengths of its vector; negative ones go the other way.
            distribution: of z. "normal" z keep their lengths, "uniform" ones stay within -1 and 1.
        """
        step = sum(strength * self.vectors[self.names.index(name)] for name, strength in strengths.items())
        moved = z + np.asarray(SPREADS[distribution] * step, np.float32)
        if distribution == "uniform":
            return np.clip(moved, -1, 1)
        before, after = (np.linalg.norm(rows, axis=-1, keepdims=True) for rows in (z, moved))
        return (moved * before / np.maximum(after, 1e-12)).astype(np.float32)


def find(names: Sequence[str], z: np.ndarray, logits: np.ndarray) -> Directions:
    """Return for each attribute the direction along which its logit rises most.

    Args:
        names: of the attributes.
        z: float32 [count, length], thousands of them.
        logits: float32 [count, attributes]: the classifier's, of the face of each z.
    """
    fitted = slice(0, 4 * len(z) // 5)
    tested = slice(fitted.stop, None)
    centred = (z - z[fitted].mean(axis=0)).astype(np.float64)
    targets = (logits - logits[fitted].mean(axis=0)) / np.maximum(logits[fitted].std(axis=0), 1e-6)
    slopes = np.linalg.lstsq(centred[fitted], targets[fitted], rcond=None)[0].T  # [attributes, length]
    vectors = slopes / np.maximum(np.linalg.norm(slopes, axis=1, keepdims=True), 1e-12)
    projections = centred[tested] @ slopes.T
    auc = [area_under_curve(*columns) for columns in zip(projections.T, logits[tested].T > 0, strict=True)]
    return _uncalibrated(names, vectors, auc)


def area_under_curve(values: np.ndarray, labels: np.ndarray) -> float:
    """Return the area under the ROC curve of values for bool labels. NaN where all labels are the same."""
    positives, negatives = values[labels], np.sort(values[~labels])
    if not (positives.size and negatives.size):
        return float("nan")
    below, up_to = (np.searchsorted(negatives, positives, side).mean() for side in ("left", "right"))
    return float((below + up_to) / 2 / len(negatives))


def factorise(kernel: np.ndarray, count: int) -> Directions:
    """Return the `count` directions that move the output of the first layer most, the strongest first.

    Its kernel is [length of z, outputs].
    """
    kernel = kernel.astype(np.float64)
    _, vectors = np.linalg.eigh(kernel @ kernel.T)
    strongest = vectors.T[::-1][:count]
    names = [f"direction_{number}" for number in range(1, len(strongest) + 1)]
    return _uncalibrated(names, strongest, [np.nan] * len(names))


def _uncalibrated(names: Sequence[str], vectors: np.ndarray, auc: Sequence[float]) -> Directions:
    arrays = vectors.astype(np.float32), np.array(auc, np.float32), np.zeros(len(names), bool)
    return Directions(tuple(names), *arrays)


def save(folder: Path, directions: Directions) -> None:
    """Write directions.npz into a run's folder: the fields of `Directions`, for `numpy.load`."""
    with replacing(folder / FILE_NAME) as partial, partial.open("wb") as file:
        np.savez(file, **vars(directions))


def load(folder: Path) -> Directions | None:
    """Return what `save` wrote, None where there is no file. Raises UsageError where it cannot be read."""
    path = folder / FILE_NAME
    try:
        with np.load(path) as saved:
            names, generator = tuple(map(str, saved["names"])), str(saved["generator"])
            return Directions(names, saved["vectors"], saved["auc"], saved["is_calibrated"], generator)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} cannot be read ({error}). {advice(folder)}") from None


def advice(folder: Path) -> str:
    """Return how the directions of a run are found."""
    run = shlex.quote(str(folder))
    return f"Find directions with: python -m explore.directions --run {run} --shards data/*.tfrecord"


def warn_if_outdated(folder: Path, directions: Directions | None, generator: str) -> None:
    """Print a warning where the directions belong to another generator than the one of this digest."""
    if directions and directions.generator != generator:
        print(f"The directions of {folder} were found for an earlier state of its generator. {advice(folder)}")
