"""The real photos, held once, and one set of generated faces after the other scored against them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from click import UsageError

from training.data.shards import ShardSet
from training.metrics import FEWEST, METRICS, Sample, attributes, inception
from training.metrics.space import FeatureSpace, features_of_photos, read_rows


def open_space(name: str, shards: ShardSet, inception_file: Path | None = None) -> FeatureSpace:
    """The feature space of this name for the images of these shards.

    Raises:
        UsageError: the network of `attributes` has not been learnt yet, or the file is not the graph of `inception`,
            or there is one and it is not asked for.
        ClickException: the graph of `inception` cannot be fetched.
    """
    if inception_file and name != inception.NAME:
        raise UsageError(f"--inception {inception_file} is for --features {inception.NAME}: say both.")
    return inception.load(shards, inception_file) if name == inception.NAME else attributes.load(shards)[0]


def needs_features(names: Sequence[str]) -> bool:
    """Whether any of these metrics needs a feature space."""
    return any(METRICS[name].needs_features for name in names)


class Evaluator:
    """Scores faces against each split's photos.

    One protocol for all figures: as many faces as photos, and as many photos of each split, because most metrics
    depend on the count. The photos are a random choice that is always the same.
    """

    def __init__(
        self,
        shards_by_split: Mapping[str, ShardSet],
        space: FeatureSpace | None,
        names: Sequence[str] = tuple(METRICS),
        count: int = 5_000,
    ):
        """Read the photos, and compute their features where they are not kept yet.

        Args:
            shards_by_split: the real photos, by what they are called in the scores.
            space: where the metrics are taken; None where no metric needs one.
            names: entries of METRICS.
            count: photos of each split at most; the smallest split decides.

        Raises:
            UsageError: a split has too few photos.
        """
        self.space, self.names = space, tuple(names)
        self.count = min(count, *(shards.count for shards in shards_by_split.values()))
        """How many faces `score` takes."""
        if self.count < FEWEST:
            raise UsageError(f"{self.count} photos are too few to measure anything: at least {FEWEST} of each split.")
        self.real = {split: self._choose(shards) for split, shards in shards_by_split.items()}

    def score(self, faces: np.ndarray, say: Callable[[str], object] = lambda line: None) -> dict[str, float]:
        """Every figure against every split, by "split/figure".

        Args:
            faces: uint8 [self.count, height, width, channels].
            say: told what is about to be computed.
        """
        if len(faces) != self.count:
            raise ValueError(f"{self.count} faces are scored at a time, not {len(faces)}")
        fake = Sample(faces, self.space.features(faces) if self.space else None)
        scores = {}
        for split, real in self.real.items():
            for figure, value in self._figures(real, fake, split, say).items():
                scores[f"{split}/{figure}"] = value
        return scores

    def floor(self, real: str, other: str, say: Callable[[str], object] = lambda line: None) -> dict[str, float]:
        """Every figure of one split's photos taken for faces against another's: what no generator is asked to beat."""
        return self._figures(self.real[real], self.real[other], f"{real}, of {other} photos", say)

    def _figures(self, real: Sample, fake: Sample, what: str, say: Callable[[str], object]) -> dict[str, float]:
        figures = {}
        for name in self.names:
            say(f"{name} against {what}")
            figures.update(METRICS[name].compute(real, fake))
        return figures

    def _choose(self, shards: ShardSet) -> Sample:
        rows = np.sort(np.random.default_rng(0).choice(shards.count, self.count, replace=False))
        features = features_of_photos(shards, rows, self.space) if self.space else None
        return Sample(read_rows(shards, rows), features)
