"""Scores of the generator while it trains, and which of them are the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from training.config import Config
from training.loop.outputs import sample
from training.metrics import HELD_OUT, METRICS, TRAIN
from training.metrics.evaluator import Evaluator
from training.models.gan import GAN


@dataclass(frozen=True)
class Scores:
    """The metrics of the generator at one step: a line of metrics.csv."""

    step: int
    kimg: float
    """Thousands of photos seen."""
    values: dict[str, float]
    """By the metric's name; NAME_held_out is the same metric against held-out photos. Where the first falls and the
    second does not, photos are being memorised."""


def score(evaluator: Evaluator, gan: GAN, config: Config, step: int) -> Scores:
    """Score the generator of a step on faces from the run's fixed z."""
    values = {}
    fake = evaluator.sample_of(sample(gan, config, evaluator.labels, evaluator.count))
    for name, value in evaluator.score(fake).items():
        split, figure = name.split("/")
        values[{TRAIN: figure, HELD_OUT: f"{figure}_{HELD_OUT}"}[split]] = value
    return Scores(step, step * config.method.batch_size / 1000, values)


def best(scores: Sequence[Scores], metric: str) -> Scores | None:
    """Return the first of the scores that none surpasses in this metric; None where none has the metric.

    The figures against held-out photos count where the newest scores have them: a generator that copies training photos
    would win against these.
    """
    sign = 1.0 if METRICS[metric].lower_is_better else -1.0
    held_out = f"{metric}_{HELD_OUT}"
    figure = held_out if scores and held_out in scores[-1].values else metric
    scored = [entry for entry in scores if math.isfinite(entry.values.get(figure, math.nan))]
    return min(scored, key=lambda entry: sign * entry.values[figure], default=None)
