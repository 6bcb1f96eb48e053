"""Images -> features, and the features of real photos kept beside their shards."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.files import replacing
from training.pipeline import read_images
from training.shards import ShardSet

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


def features_of_photos(shards: ShardSet, split: str, space: FeatureSpace) -> np.ndarray:
    """Features of all photos in the order of the shards: float32 [shards.count, width].

    They are computed once and kept as features/SPACE-SPLIT.npz, which is made anew where the photos or the space have
    changed. Where it cannot be written they are computed every time.
    """
    path = folder(shards) / f"{space.name}-{split}.npz"
    kept = _read(path, shards.fingerprint, space.digest)
    if kept is not None:
        return kept
    with progress(shards.count, f"Features of the photos ({split})") as bar:
        features = np.concatenate([space.features(images, bar.update) for images in by_shard(shards)])
    try:
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez(file, photos=shards.fingerprint, space=space.digest, features=features)
    except OSError as error:
        print(f"{path} cannot be written ({error.strerror}): these features are computed anew every time.")
    return features


def by_shard(shards: ShardSet) -> Iterator[np.ndarray]:
    """The images a shard at a time, so that memory does not grow with their number: uint8 [its count, ...]."""
    for shard in shards.shards:
        yield read_images(replace(shards, shards=(shard,)))


def read_rows(shards: ShardSet, rows: np.ndarray) -> np.ndarray:
    """These images, by their places in the order of the shards: uint8 [len(rows), height, width, channels]."""
    images = np.empty((len(rows), *shards.image_shape), np.uint8)
    first = 0
    for part in by_shard(shards):
        here = (first <= rows) & (rows < first + len(part))
        images[here] = part[rows[here] - first]
        first += len(part)
    return images


def progress(count: int, what: str) -> tqdm:
    """A bar on a terminal; a line now and then in a file or a pipe."""
    return tqdm(total=count, desc=what, unit="img", mininterval=0.5 if sys.stderr.isatty() else 10.0)


def _read(path: Path, photos: str, space: str) -> np.ndarray | None:
    """Return what is kept there, or None where it is missing, damaged, or of other photos or another space."""
    try:
        with np.load(path) as kept:
            is_of_these = kept["photos"] == photos and kept["space"] == space
            return kept["features"] if is_of_these else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
