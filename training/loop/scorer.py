"""The metrics while a generator learns: faces of it are judged, and one of the scores says which were the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training import draw
from training.config import Config
from training.data.shards import ShardSet
from training.loop.history import Scores
from training.metrics import METRICS
from training.metrics.evaluator import Evaluator, needs_features, open_space
from training.models.gan import GAN


@dataclass(frozen=True)
class Scorer:
    """What judges a generator."""

    judge: Callable[[np.ndarray], dict[str, float]]
    """Faces, uint8 [faces, height, width, channels], to scores by name."""
    faces: int
    """How many are judged."""
    decides: str
    """The score that says which generator is the best."""
    lower_is_better: bool
    """Of that score."""

    def score(self, gan: GAN, config: Config) -> dict[str, float]:
        """Score the generator by faces from the run's fixed z, so that only the generator differs."""
        return self.judge(draw.faces(gan.generator_ema, self.faces, config.seed, config.method.latent_distribution))

    def best(self, scores: list[Scores]) -> Scores | None:
        """Return the first of those that nothing surpasses, or None where none has the score that decides."""
        sign = 1.0 if self.lower_is_better else -1.0
        scored = [entry for entry in scores if math.isfinite(entry.values.get(self.decides, math.nan))]
        return min(scored, key=lambda entry: sign * entry.values[self.decides], default=None)


def open_scorer(
    names: Sequence[str], learnt: ShardSet, held_out: ShardSet, features: str, inception_file: Path | None
) -> Scorer:
    """Judge by these metrics against the photos that are learnt from, as papers do; the first one decides.

    Beside each score stands NAME_held_out, the same against the photos that are kept from learning, where there are
    any: where the first falls and the second does not, photos are being memorised.

    Args:
        names: entries of METRICS.
        learnt: the photos that are learnt from.
        held_out: the photos that are not.
        features: the feature space, opened where one of the metrics needs it.
        inception_file: the graph of the feature space `inception`; None to fetch it once.

    Raises:
        UsageError: there is no such feature space yet, or there are too few photos.
    """
    space = open_space(features, learnt, inception_file) if needs_features(names) else None
    photos = {"train": learnt, "held_out": held_out}
    evaluator = Evaluator({split: part for split, part in photos.items() if part.count}, space, names)

    def judge(faces: np.ndarray) -> dict[str, float]:
        scores = {}
        for name, value in evaluator.score(faces).items():
            split, _, figure = name.partition("/")
            scores[figure if split == "train" else f"{figure}_{split}"] = value
        return scores

    return Scorer(judge, evaluator.count, names[0], METRICS[names[0]].lower_is_better)
