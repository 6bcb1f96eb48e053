"""What else changes with an attribute: the re-scoring matrix of Shen et al. 2020, by a judge."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from system.files import replacing, write_text
from training.explore.directions import Directions

Render = Callable[[np.ndarray], np.ndarray]
"""z float32 [count, length] -> faces uint8 [count, height, width, channels]."""

_COLUMNS = ("direction", "calibrated", "auc", "same_face")


@dataclass(frozen=True, eq=False)
class Rescoring:
    """How often a judge changes its answers when faces are moved along directions."""

    names: tuple[str, ...]
    changed: np.ndarray
    """float64 [directions, attributes]: the share of faces whose answer changes. A face without the attribute is moved
    towards it, one with it away from it."""
    sameness: np.ndarray
    """float64 [directions]: cosine of a face's features before and after, minus that of two different faces, over what
    there is between that and 1: 1 for the same person, 0 for anybody."""

    @property
    def others(self) -> np.ndarray:
        """The mean of the other attributes' shares, of each direction: float64 [directions]."""
        own = np.diag(self.changed)
        return (self.changed.sum(axis=1) - own) / max(self.changed.shape[1] - 1, 1)


def rescore(
    names: Sequence[str],
    z: np.ndarray,
    move: Callable[[np.ndarray, str, np.ndarray], np.ndarray],
    render: Render,
    answers: Callable[[np.ndarray], np.ndarray],
    features: Callable[[np.ndarray], np.ndarray],
    on_progress: Callable[[int], object] = lambda count: None,
) -> Rescoring:
    """Move faces along each direction, and ask the judge before and after.

    Args:
        names: the attributes, each with a direction.
        z: float32 [count, length].
        move: z, a name, and a sign for each -> z moved along its direction.
        render: z -> faces.
        answers: faces -> bool [count, attributes], by the judge.
        features: faces -> float32 [count, width], by the judge.
        on_progress: called with 1 after each direction.
    """
    faces = render(z)
    before, embedded = answers(faces), _unit(features(faces))
    strangers = float(np.mean((embedded * np.roll(embedded, 1, axis=0)).sum(axis=1)))
    changed, sameness = [], []
    for index, name in enumerate(names):
        moved = render(move(z, name, np.where(before[:, index], -1.0, 1.0)))
        changed.append((answers(moved) != before).mean(axis=0))
        same = np.mean((embedded * _unit(features(moved))).sum(axis=1))
        sameness.append((same - strangers) / max(1 - strangers, 1e-6))
        on_progress(1)
    return Rescoring(tuple(names), np.array(changed), np.array(sameness))


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def write_csv(path: Path, directions: Directions, rescoring: Rescoring) -> None:
    """Write a line for each direction: its name, what `_COLUMNS` are, the share of each answer."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *rescoring.names])
    columns = (directions.names, directions.is_calibrated, directions.auc, rescoring.sameness, rescoring.changed)
    for name, is_calibrated, auc, same, shares in zip(*columns, strict=True):
        writer.writerow([name, int(is_calibrated), *(f"{figure:.4f}" for figure in (auc, same, *shares))])
    write_text(path, text.getvalue())


def load_own(path: Path) -> dict[str, float]:
    """Return how often each direction changes its own attribute, from what `write_csv` wrote.

    Where there is no such file, or a damaged one, nothing is known: {}.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            _, *rows = csv.reader(file)
        return {row[0]: float(row[len(_COLUMNS) + index]) for index, row in enumerate(rows)}
    except (OSError, ValueError, IndexError):
        return {}


def draw(path: Path, rescoring: Rescoring) -> None:
    """Draw the matrix as a PNG: a row for each direction, a column for each attribute."""
    from matplotlib import style
    from matplotlib.figure import Figure

    side = 2.5 + 0.22 * len(rescoring.names)
    with style.context("default"):  # whatever the user's matplotlibrc says
        figure = Figure((side + 1, side), layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(rescoring.changed, vmin=0, vmax=1, cmap="magma")
        places = range(len(rescoring.names))
        axes.set_xticks(places, rescoring.names, rotation=90, fontsize=7)
        axes.set_yticks(places, rescoring.names, fontsize=7)
        axes.set_xlabel("share of faces whose answer changes")
        axes.set_ylabel("moved along")
        figure.colorbar(image, shrink=0.6)
        with replacing(path) as partial:
            figure.savefig(partial, format="png", dpi=110)
