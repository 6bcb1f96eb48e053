"""Fit the metric `broken` to the marks in docs/marks: python tests/benchmarks/broken_share.py --shards data.

The shards are those of the 16,000 photos of the docs. Prints, for each set of faces, the share that was marked broken
(the mean over judges), what the metric gives, what it gives when it is fitted to the other sets alone, and how many of
the pairs of a broken and a whole face it orders rightly; then the two constants of training/metrics/wholeness.py.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from measure import ROOT, table
from scipy.optimize import minimize

from training.command import startup_messages_hidden
from training.data.shards import find
from training.marks import load as load_marks
from training.metrics import BROKEN, TRAIN
from training.sheets import PHOTOS, images_of_picture

MARKS = ROOT / "docs/marks"


def marked_faces() -> dict[str, list[list[bool]]]:
    """For each picture of faces, a row per judge: whether each of its first faces was marked as broken."""
    rows: dict[str, list[list[bool]]] = {}
    for path in sorted(MARKS.glob("*.json")):
        key, marks = load_marks(path)
        for source in key.sources:
            if source.name != PHOTOS and marks:
                rows.setdefault(source.name, []).append([number in marks.broken for number in source.numbers])
    return rows


def fit(oddness: np.ndarray, broken: np.ndarray) -> np.ndarray:
    """Logistic regression of shares on one number: bias and slope."""

    def loss(line: np.ndarray) -> float:
        logits = line[0] + line[1] * oddness
        return float(np.mean(np.logaddexp(0.0, logits) - broken * logits))

    return minimize(loss, [0.0, 1.0]).x


def share(line: np.ndarray, oddness: np.ndarray) -> float:
    """The mean probability."""
    return float(np.mean(1.0 / (1.0 + np.exp(-line[0] - line[1] * oddness))))


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--shards", type=click.Path(path_type=Path, exists=True), default="data", help="A folder of shards.")
def main(shards: Path) -> None:
    """Fit the metric to the marks, and say how well it agrees with them."""
    with startup_messages_hidden():
        from training.metrics import efficientnet
        from training.metrics.evaluator import Evaluator
        from training.metrics.wholeness import PatchGaussians

    train_photos, held_out = find([str(shards)]).divide("train")
    space = efficientnet.face_space(train_photos.image_shape)
    real = Evaluator(train_photos, held_out, None, (BROKEN,)).real[TRAIN].imagenet[BROKEN]
    gaussians = PatchGaussians.of(real)
    usual = gaussians.anomaly_score(real)
    oddness, broken = {}, {}
    for name, judges in marked_faces().items():
        count = max(map(len, judges))
        faces = images_of_picture(MARKS / name, train_photos.image_shape, count).pixels
        oddness[name] = (gaussians.anomaly_score(space.features(faces)) - usual.mean()) / usual.std()
        broken[name] = np.array([np.mean([row[face] for row in judges if face < len(row)]) for face in range(count)])

    def fitted(names: list[str]) -> np.ndarray:
        return fit(*(np.concatenate([values[name] for name in names]) for values in (oddness, broken)))

    line = fitted(list(oddness))
    rows = []
    for name, odd in oddness.items():
        is_broken, is_whole = broken[name] > 0.5, broken[name] == 0
        right = np.mean(odd[is_broken][:, None] > odd[is_whole])
        by_others = share(fitted([other for other in oddness if other != name]), odd)
        shares = (np.mean(broken[name]), share(line, odd), by_others, right)
        rows.append((name, f"{len(odd)}", *(f"{value:.3f}" for value in shares)))
    print(table(("faces", "count", "marked", "estimated", "fitted to the others", "pairs in order"), rows))
    print(f"BIAS, SLOPE = {line[0]:.2f}, {line[1]:.2f}")


if __name__ == "__main__":
    main()
