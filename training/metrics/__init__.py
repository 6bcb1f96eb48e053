"""Distances between generated and real faces: every metric in one table.

A metric compares two samples, images and their features, of equal size. Features come from a feature space (`space.py`;
`attributes.py` and `inception.py` are the two to choose from, `efficientnet.py` is that of the two-sample tests).
`evaluator.py` reads the real photos once and scores generated faces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from training.metrics import frechet, kid, prdc, swd, two_sample, wholeness
from training.metrics.distances import neighbour_distances


@dataclass(frozen=True, eq=False)
class Sample:
    """Images and features of one set of faces. What several metrics need is computed once."""

    images: np.ndarray  # uint8 [count, height, width, channels]
    features: np.ndarray  # float32 [count, width]; the width is 0 where only metrics of the images are asked for
    # Of photos: float32 [count, conditions], -1 or 1; None where there are no conditions.
    labels: np.ndarray | None = None
    # Features of EfficientNet by the metric that they are for, an entry of TWO_SAMPLE or BROKEN.
    imagenet: Mapping[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def gaussian(self) -> frechet.Gaussian:
        """Mean and covariance of the features."""
        return frechet.Gaussian.of(self.features)

    @cached_property
    def neighbours(self) -> np.ndarray:
        """Distances to the nearest others: float64 [count, 5]."""
        return neighbour_distances(self.features, max(prdc.PRECISION_K, prdc.DENSITY_K))

    def radii(self, k: int) -> np.ndarray:
        """Distances to the k-th nearest other: float64 [count]."""
        return self.neighbours[:, k - 1]


MIN_IMAGES = 1 + max(prdc.PRECISION_K, prdc.DENSITY_K)  # smallest sample: each image needs its neighbours

TRAIN, HELD_OUT = "train", "held_out"  # splits of the real photos: those that were trained on, and those that were not


@dataclass(frozen=True)
class Metric:
    """A metric of generated faces."""

    # (real, fake) -> figures by name. The first has the metric's own name.
    compute: Callable[[Sample, Sample], dict[str, float]]
    lower_is_better: bool
    # Whether it compares features in the space of --features; others take pixels, or EfficientNet's features.
    needs_space: bool = True
    # Whether the figure is a distance plus a bias of the count, so that what is above the floor is the distance.
    adds_up: bool = False


def _swd(real: Sample, fake: Sample) -> dict[str, float]:
    levels = swd.distances(real.images, fake.images)
    return {"swd": float(np.mean(list(levels.values()))), **{f"swd_{side}": value for side, value in levels.items()}}


def _frechet(real: Sample, fake: Sample) -> dict[str, float]:
    return {"frechet": frechet.distance(real.gaussian, fake.gaussian)}


def _kid(real: Sample, fake: Sample) -> dict[str, float]:
    value, error = kid.distance(real.features, fake.features)
    return {"kid": value, "kid_error": error}


def _precision(real: Sample, fake: Sample) -> dict[str, float]:
    return {"precision": prdc.precision(real.features, real.radii(prdc.PRECISION_K), fake.features)}


def _recall(real: Sample, fake: Sample) -> dict[str, float]:
    return {"recall": prdc.precision(fake.features, fake.radii(prdc.PRECISION_K), real.features)}


def _density(real: Sample, fake: Sample) -> dict[str, float]:
    k = prdc.DENSITY_K
    return {"density": prdc.density(real.features, real.radii(k), fake.features, k)}


def _coverage(real: Sample, fake: Sample) -> dict[str, float]:
    return {"coverage": prdc.coverage(real.features, real.radii(prdc.DENSITY_K), fake.features)}


def _two_sample(name: str, real: Sample, fake: Sample) -> dict[str, float]:
    accuracy, error = two_sample.accuracy(real.imagenet[name], fake.imagenet[name])
    return {name: accuracy, f"{name}_error": error}


def _broken(real: Sample, fake: Sample) -> dict[str, float]:
    return {BROKEN: wholeness.broken_share(real.imagenet[BROKEN], fake.imagenet[BROKEN])}


BROKEN = "broken"
# Two-sample tests on features of EfficientNet, by the side in pixels to which both samples are reduced first: at 24 the
# texture is gone, and shape is left.
TWO_SAMPLE = {"c2st": None, "c2st_24": 24}

METRICS = {
    "swd": Metric(_swd, lower_is_better=True, needs_space=False),
    "frechet": Metric(_frechet, lower_is_better=True, adds_up=True),
    "kid": Metric(_kid, lower_is_better=True, adds_up=True),
    "precision": Metric(_precision, lower_is_better=False),
    "recall": Metric(_recall, lower_is_better=False),
    "density": Metric(_density, lower_is_better=False),
    "coverage": Metric(_coverage, lower_is_better=False),
    **{name: Metric(partial(_two_sample, name), lower_is_better=True, needs_space=False) for name in TWO_SAMPLE},
    BROKEN: Metric(_broken, lower_is_better=True, needs_space=False),
}

OF_EFFICIENTNET = (*TWO_SAMPLE, BROKEN)  # metrics that need the weights of requirements-evaluate.txt
OF_NO_WEIGHTS = tuple(name for name in METRICS if name not in OF_EFFICIENTNET)
# Metrics by which `training.run` may choose a generator: what is chosen by the others they would no longer judge.
MAY_CHOOSE = (*OF_NO_WEIGHTS, BROKEN)
