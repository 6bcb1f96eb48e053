"""Scores of generated faces against real photos, which are read once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from click import UsageError

from training.data.reading import read_attributes
from training.data.shards import ShardSet
from training.metrics import (
    BROKEN,
    HELD_OUT,
    METRICS,
    MIN_IMAGES,
    OF_NO_WEIGHTS,
    TRAIN,
    TWO_SAMPLE,
    Sample,
    attributes,
    efficientnet,
    inception,
)
from training.metrics.space import FeatureSpace, features_of_photos, read_rows


def open_space(name: str, shards: ShardSet, inception_file: Path | None = None) -> FeatureSpace:
    """Return the feature space of this name for the images of these shards.

    Raises UsageError where its network is not trained yet, or the file is not its graph, and ClickException where the
    graph of `inception` cannot be downloaded.
    """
    if inception_file and name != inception.NAME:
        raise UsageError(f"--inception {inception_file} is for --features {inception.NAME}: say both.")
    return inception.load(shards, inception_file) if name == inception.NAME else attributes.load(shards, name)


def needs_space(names: Sequence[str]) -> bool:
    """Whether any of these metrics needs a feature space."""
    return any(METRICS[name].needs_space for name in names)


class Evaluator:
    """Scores faces against the training photos, and against held-out photos where there are any.

    One protocol for all figures: as many faces as photos, and as many photos of each split, because most metrics
    depend on the count. The photos are a random choice that is always the same. It is of half of the training photos
    at most, so that `floor_photos` are as many others.
    """

    def __init__(
        self,
        train_shards: ShardSet,
        held_out: ShardSet,
        space: FeatureSpace | None,
        names: Sequence[str] = OF_NO_WEIGHTS,
        count: int = 5_000,
        conditions: Sequence[str] = (),
    ):
        """Read the photos, and compute their features in `space`, which is None where no metric needs one.

        `names` are entries of METRICS, `conditions` the labels of the generator. At most `count` photos of each split
        are used; the smallest split decides, or half of the training photos. Raises UsageError where that is too few,
        and where the weights of a metric's network are not installed.
        """
        self.space, self.names, self._conditions = space, tuple(names), conditions
        shape = train_shards.image_shape
        self._imagenet = {name: efficientnet.space(shape, TWO_SAMPLE[name]) for name in names if name in TWO_SAMPLE}
        if BROKEN in names:
            self._imagenet[BROKEN] = efficientnet.face_space(shape)
        # The real photos, by the name of their split in the scores.
        self.shards = {TRAIN: train_shards, **({HELD_OUT: held_out} if held_out.count else {})}
        # How many faces `score` takes.
        self.count = min(count, train_shards.count // 2, *(shards.count for shards in self.shards.values()))
        if self.count < MIN_IMAGES:
            raise UsageError(
                f"{self.count} photos are too few to measure anything: at least {MIN_IMAGES} of each split, and "
                f"{2 * MIN_IMAGES} to train on."
            )
        self.real = {split: self._sample(shards, self._choose(shards.count)) for split, shards in self.shards.items()}
        # Of the faces that `score` takes, float32 [count, conditions], -1 or 1: those of the training photos that they
        # are compared with, in the same order. None where there are no conditions.
        self.labels = self.real[TRAIN].labels

    @cached_property
    def floor_photos(self) -> Sample:
        """As many training photos that faces are not compared with.

        Scored as if they were generated, they show how good a perfect generator is: of the same distribution, and as
        well known to the network of the feature space.
        """
        shards = self.shards[TRAIN]
        rest = np.delete(np.arange(shards.count), self._choose(shards.count))
        return self._sample(shards, rest[self._choose(len(rest))])

    def sample_of(self, faces: np.ndarray) -> Sample:
        """Return faces, uint8 [self.count, height, width, channels], and their features where there is a space."""
        if len(faces) != self.count:
            raise ValueError(f"{self.count} faces are scored at a time, not {len(faces)}")
        features = self.space.features(faces) if self.space else np.empty((len(faces), 0), np.float32)
        return Sample(faces, features, imagenet={name: space.features(faces) for name, space in self._imagenet.items()})

    def score(self, fake: Sample, log: Callable[[str], object] = lambda line: None) -> dict[str, dict[str, float]]:
        """Return every figure of a `sample_of` faces against every split: {split: {figure: value}}.

        `log` is called with each computation that begins.
        """
        return {split: self.figures(real, fake, split, log) for split, real in self.real.items()}

    def figures(
        self, real: Sample, fake: Sample, title: str = "", log: Callable[[str], object] = lambda line: None
    ) -> dict[str, float]:
        """Return every figure of one sample against another; `title` is how the log calls the real one."""
        figures = {}
        for name in self.names:
            log(f"{name} against {title}")
            figures.update(METRICS[name].compute(real, fake))
        return figures

    def _choose(self, photos: int) -> np.ndarray:
        return np.sort(np.random.default_rng(0).choice(photos, self.count, replace=False))

    def _sample(self, shards: ShardSet, rows: np.ndarray) -> Sample:
        features = features_of_photos(shards, rows, self.space) if self.space else np.empty((len(rows), 0), np.float32)
        is_labelled = self._conditions and shards is self.shards[TRAIN]
        labels = 2.0 * read_attributes(shards, self._conditions)[rows] - 1.0 if is_labelled else None
        imagenet = {name: features_of_photos(shards, rows, space) for name, space in self._imagenet.items()}
        return Sample(read_rows(shards, rows), features, labels, imagenet)
