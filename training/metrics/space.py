"""Images to features; the features of real photos are cached in a folder, by default beside their shards."""

from __future__ import annotations

import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from system.files import replacing
from training.data.reading import read_images
from training.data.shards import ShardSet

BATCH = 256


@dataclass(frozen=True)
class FeatureSpace:
    """A network whose features are compared instead of pixels."""

    name: str
    digest: str  # a hash of the weights: features of different digests are not comparable
    # uint8 [at most BATCH, height, width, channels] -> float32 [the same count, width of the space].
    batch_features: Callable[[np.ndarray], np.ndarray]

    def features(self, images: np.ndarray, on_progress: Callable[[int], object] = lambda count: None) -> np.ndarray:
        """Return the features of uint8 [count, height, width, channels]: float32 [count, width].

        `on_progress` is called with the number of images after each batch.
        """
        parts = []
        for start in range(0, len(images), BATCH):
            parts.append(self.batch_features(images[start : start + BATCH]))
            on_progress(len(parts[-1]))
        return np.concatenate(parts)


def features_of_photos(shards: ShardSet, rows: np.ndarray, space: FeatureSpace) -> np.ndarray:
    """Return the features of photos, by their index in the order of the shards, ascending: float32 [len(rows), width].

    They are computed once and cached as SPACE-COUNT-of-PHOTOS-ROWS.npz, ROWS being a checksum, and again where
    the space has changed. Where the file cannot be written they are computed every time.
    """
    checksum = f"{zlib.crc32(rows.tobytes()):08x}"
    path = shards.features_dir / f"{space.name}-{len(rows)}-of-{shards.fingerprint}-{checksum}.npz"
    cached = _read(path, rows, space.digest)
    if cached is not None:
        return cached
    with progress(len(rows), "Features of photos") as bar:
        features = np.concatenate([space.features(images, bar.update) for images in _by_shard(shards, rows)])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez(file, rows=rows, space=space.digest, features=features)
    except OSError as error:
        print(
            f"{path} cannot be written ({error.strerror}): these features are computed every time. "
            "To keep them elsewhere, use --features-dir."
        )
    return features


def read_rows(shards: ShardSet, rows: np.ndarray) -> np.ndarray:
    """Return these images, by their index in the order of the shards: uint8 [len(rows), height, width, channels]."""
    ascending, places = np.unique(rows, return_inverse=True)
    return np.concatenate(list(_by_shard(shards, ascending)))[places]


def _by_shard(shards: ShardSet, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the images of ascending rows, shard by shard: memory does not grow with the number of shards."""
    first = 0
    for shard in shards.shards:
        in_shard = rows[(first <= rows) & (rows < first + shard.count)] - first
        if len(in_shard):
            yield read_images(replace(shards, shards=(shard,)))[in_shard]
        first += shard.count


def progress(count: int, title: str) -> tqdm:
    """Return a progress bar: live on a terminal, a line now and then in a file or a pipe."""
    return tqdm(total=count, desc=title, unit="img", mininterval=0.5 if sys.stderr.isatty() else 10.0)


def _read(path: Path, rows: np.ndarray, space: str) -> np.ndarray | None:
    """Return the cached features, or None where they are missing, damaged, or of other rows or another space."""
    try:
        with np.load(path) as cached:
            is_of_these = np.array_equal(cached["rows"], rows) and cached["space"] == space
            return cached["features"] if is_of_these else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
