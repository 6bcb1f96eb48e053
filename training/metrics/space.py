"""Images -> features, and the features of real photos kept beside their shards."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.data.pipeline import read_images
from training.data.shards import ShardSet
from training.files import replacing

BATCH = 256


@dataclass(frozen=True)
class FeatureSpace:
    """Where distances between faces are taken."""

    name: str
    digest: str
    """A hash of the weights: features of different digests do not compare."""
    batch_features: Callable[[np.ndarray], np.ndarray]
    """uint8 [at most BATCH, height, width, channels] -> float32 [the same count, width of the space]."""

    def features(self, images: np.ndarray, done: Callable[[int], object] = lambda count: None) -> np.ndarray:
        """Features of uint8 [count, height, width, channels]: float32 [count, width].

        Args:
            images: the faces.
            done: told after each batch how many more are done.
        """
        parts = []
        for start in range(0, len(images), BATCH):
            parts.append(self.batch_features(images[start : start + BATCH]))
            done(len(parts[-1]))
        return np.concatenate(parts)


def folder(shards: ShardSet) -> Path:
    """Where features are kept: beside the first of the shards."""
    return shards.shards[0].path.parent / "features"


def features_of_photos(shards: ShardSet, rows: np.ndarray, space: FeatureSpace) -> np.ndarray:
    """Features of these photos, by their places in the order of the shards: float32 [len(rows), width].

    They are computed once and kept as features/SPACE-COUNT-of-PHOTOS.npz, which is made anew where the rows or the
    space have changed. Where it cannot be written they are computed every time.

    Args:
        shards: the photos.
        rows: int64, ascending, each once.
        space: what computes them.
    """
    path = folder(shards) / f"{space.name}-{len(rows)}-of-{shards.fingerprint}.npz"
    kept = _read(path, rows, space.digest)
    if kept is not None:
        return kept
    with progress(len(rows), "Features of photos") as bar:
        features = np.concatenate([space.features(images, bar.update) for images in _by_shard(shards, rows)])
    try:
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez(file, rows=rows, space=space.digest, features=features)
    except OSError as error:
        print(f"{path} cannot be written ({error.strerror}): these features are computed anew every time.")
    return features


def read_rows(shards: ShardSet, rows: np.ndarray) -> np.ndarray:
    """These images, by their places in the order of the shards: uint8 [len(rows), height, width, channels]."""
    ascending, places = np.unique(rows, return_inverse=True)
    return np.concatenate(list(_by_shard(shards, ascending)))[places]


def _by_shard(shards: ShardSet, rows: np.ndarray) -> Iterator[np.ndarray]:
    """The images of ascending rows, those of a shard at a time: memory does not grow with the number of shards."""
    first = 0
    for shard in shards.shards:
        here = rows[(first <= rows) & (rows < first + shard.count)] - first
        if len(here):
            yield read_images(replace(shards, shards=(shard,)))[here]
        first += shard.count


def progress(count: int, what: str) -> tqdm:
    """A bar on a terminal; a line now and then in a file or a pipe."""
    return tqdm(total=count, desc=what, unit="img", mininterval=0.5 if sys.stderr.isatty() else 10.0)


def _read(path: Path, rows: np.ndarray, space: str) -> np.ndarray | None:
    """Return what is kept there, or None where it is missing, damaged, or of other rows or another space."""
    try:
        with np.load(path) as kept:
            is_of_these = np.array_equal(kept["rows"], rows) and kept["space"] == space
            return kept["features"] if is_of_these else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
