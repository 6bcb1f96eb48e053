"""What else changes with an attribute: the re-scoring matrix of Shen et al. 2020, by a judge."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explore.directions.directions import Directions
from explore.letters import can_show
from system.files import replacing, write_text

CSV_NAME, PICTURE_NAME = "directions.csv", "directions.png"
_COLUMNS = ("direction", "calibrated", "auc", "same_face")
_PRINTED = 12  # directions of the printed table


@dataclass(frozen=True, eq=False)
class Rescoring:
    """How often a judge changes its answers when faces are moved along directions."""

    # float64 [directions, attributes]: the share of faces whose answer changes. A face without the attribute is moved
    # towards it, one with it away from it.
    changed: np.ndarray
    # float64 [directions]: cosine of a face's features before and after, scaled such that two different faces have 0: 1
    # for the same person.
    similarity: np.ndarray

    @property
    def side_effects(self) -> np.ndarray:
        """The mean share of the other attributes, of each direction: float64 [directions]."""
        own = np.diag(self.changed)
        return (self.changed.sum(axis=1) - own) / max(self.changed.shape[1] - 1, 1)


def rescore(
    directions: Directions,
    strength: float,
    z: np.ndarray,
    distribution: str,
    render: Callable[[np.ndarray], np.ndarray],
    answers: Callable[[np.ndarray], np.ndarray],
    features: Callable[[np.ndarray], np.ndarray],
    on_progress: Callable[[int], object] = lambda count: None,
) -> Rescoring:
    """Move faces along each direction, and ask the judge before and after.

    Args:
        directions: of the judge's attributes.
        strength: how far to move, in lengths of a direction's vector.
        z: float32 [count, length].
        distribution: of z.
        render: z -> faces, uint8 [count, height, width, channels].
        answers: faces -> bool [count, attributes], by the judge.
        features: faces -> float32 [count, width], by the judge.
        on_progress: called with 1 after each direction.
    """
    faces = render(z)
    before, embedded = answers(faces), _unit(features(faces))
    of_two_faces = float(np.mean((embedded * np.roll(embedded, 1, axis=0)).sum(axis=1)))
    changed, similarity = [], []
    for index, name in enumerate(directions.names):
        towards, away = (directions.edit(z, {name: sign * strength}, distribution) for sign in (1, -1))
        moved = render(np.where(before[:, [index]], away, towards))
        changed.append((answers(moved) != before).mean(axis=0))
        cosine = np.mean((embedded * _unit(features(moved))).sum(axis=1))
        similarity.append((cosine - of_two_faces) / max(1 - of_two_faces, 1e-6))
        on_progress(1)
    return Rescoring(np.array(changed), np.array(similarity))


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def table(directions: Directions, rescoring: Rescoring, strength: float) -> str:
    """Return the calibrated directions that change their own attribute most, then the others, a line each."""
    own, is_calibrated = np.diag(rescoring.changed), directions.is_calibrated
    lines = [f"Moved by a strength of {strength:g}; answers of a judge that was trained on other photos:"]
    lines.append(f"{'':<20} AUC (0.5 is chance)  changes  others change  same face")
    for index in np.lexsort((-own, ~is_calibrated))[:_PRINTED]:
        shares = f"{directions.auc[index]:19.2f} {own[index]:8.1%} {rescoring.side_effects[index]:14.1%}"
        lines.append(f"{directions.names[index]:<20} {shares} {rescoring.similarity[index]:10.2f}")
    if uncalibrated := np.array(directions.names)[~is_calibrated].tolist():
        lines.append(f"Not calibrated, so that a strength of 3 need not change most faces: {', '.join(uncalibrated)}.")
    return "\n".join(lines)


def write_csv(folder: Path, directions: Directions, rescoring: Rescoring) -> None:
    """Write directions.csv: a line for each direction with its name, `_COLUMNS`, the share of each attribute."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *directions.names])
    columns = (directions.names, directions.is_calibrated, directions.auc, rescoring.similarity, rescoring.changed)
    for name, is_calibrated, auc, similarity, shares in zip(*columns, strict=True):
        writer.writerow([name, int(is_calibrated), *(f"{figure:.4f}" for figure in (auc, similarity, *shares))])
    write_text(folder / CSV_NAME, text.getvalue())


def load_own(folder: Path) -> dict[str, float]:
    """Return how often each direction changes its own attribute by directions.csv; {} without one, or a damaged one."""
    try:
        with (folder / CSV_NAME).open(encoding="utf-8", newline="") as file:
            _, *rows = csv.reader(file)
        return {row[0]: float(row[len(_COLUMNS) + index]) for index, row in enumerate(rows)}
    except (OSError, ValueError, IndexError):
        return {}


def draw(folder: Path, names: Sequence[str], rescoring: Rescoring) -> None:
    """Draw directions.png: a row for each direction, a column for each attribute."""
    from matplotlib import style
    from matplotlib.figure import Figure

    side = 2.5 + 0.22 * len(names)
    # Matplotlib's font lacks Hangul, for one: the number of the line in directions.csv stands for such a name.
    titles = [name if can_show(name) else str(line) for line, name in enumerate(names, 2)]
    with style.context("default"):  # whatever the user's matplotlibrc says
        figure = Figure((side + 1, side), layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(rescoring.changed, vmin=0, vmax=1, cmap="magma")
        axes.set_xticks(range(len(names)), titles, rotation=90, fontsize=7)
        axes.set_yticks(range(len(names)), titles, fontsize=7)
        axes.set_xlabel("share of faces whose answer changes")
        axes.set_ylabel("moved along")
        figure.colorbar(image, shrink=0.6)
        with replacing(folder / PICTURE_NAME) as partial:
            figure.savefig(partial, format="png", dpi=110)
