"""Which shards a run reads, and what their folder says of them. The pixels are `training.data.pipeline`'s business."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from click import UsageError

HOW_TO_MAKE = "Make shards with: python -m preprocess.run --source PHOTOS --out FOLDER"


@dataclass(frozen=True)
class Shard:
    """One TFRecord file and how many of its records are read, from the first."""

    path: Path
    split: str
    """"train", "valid" or "test"."""
    count: int
    sha256: str


@dataclass(frozen=True)
class ShardSet:
    """Shards that hold images of one shape."""

    image_shape: tuple[int, int, int]
    """height, width, channels."""
    shards: tuple[Shard, ...]

    @property
    def count(self) -> int:
        """Images in all shards together."""
        return sum(shard.count for shard in self.shards)

    @property
    def image_bytes(self) -> int:
        """Bytes of one decoded uint8 image."""
        height, width, channels = self.image_shape
        return height * width * channels

    @property
    def fingerprint(self) -> str:
        """A hash of what is read: the same for the same images, wherever the folder lies."""
        lines = [f"{shard.path.name} {shard.count} {shard.sha256}" for shard in self.shards]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    @property
    def splits(self) -> set[str]:
        """The splits that the shards are of."""
        return {shard.split for shard in self.shards}

    def only(self, splits: Iterable[str]) -> ShardSet:
        """The shards of these splits."""
        wanted = set(splits)
        return replace(self, shards=tuple(shard for shard in self.shards if shard.split in wanted))

    def divide(self, train_on: str) -> tuple[ShardSet, ShardSet]:
        """What is learnt from, the shards of one split or "all", and what is held out; either may be empty."""
        learnt = self.splits if train_on == "all" else {train_on}
        return self.only(learnt), self.only(self.splits - learnt)

    def first(self, limit: int) -> ShardSet:
        """The first `limit` images: whole shards in order, the last one cut short."""
        kept, room = [], limit
        for shard in self.shards:
            if room > 0:
                kept.append(replace(shard, count=min(shard.count, room)))
                room -= kept[-1].count
        return replace(self, shards=tuple(kept))


def find(patterns: Iterable[str]) -> ShardSet:
    """Find shards and read their folders' manifests.

    Args:
        patterns: paths of shards, folders of shards, or glob patterns, in any mixture.

    Raises:
        UsageError: nothing matches, a shard has no manifest or is not whole, or the shapes differ.
    """
    paths = sorted({path for pattern in patterns for path in _expand(pattern)})
    manifests = {folder: _read_manifest(folder) for folder in sorted({path.parent for path in paths})}
    shapes = {folder: tuple(manifest["image_shape"]) for folder, manifest in manifests.items()}
    if len(set(shapes.values())) > 1:
        listed = "; ".join(f"{folder} holds {'x'.join(map(str, shape))}" for folder, shape in shapes.items())
        raise UsageError(f"Shards of one shape are needed: {listed}. Name one folder.")
    shards = tuple(_describe(path, manifests[path.parent]) for path in paths)
    return ShardSet(next(iter(shapes.values())), shards)


def are_unchanged(shards: ShardSet) -> bool:
    """Whether the folders still hold the shards that `find` found there: another run may have replaced them since."""
    try:
        manifests = {folder: _read_manifest(folder) for folder in {shard.path.parent for shard in shards.shards}}
        now = [_describe(shard.path, manifests[shard.path.parent]) for shard in shards.shards]
    except (UsageError, OSError):
        return False
    return [shard.sha256 for shard in now] == [shard.sha256 for shard in shards.shards]


def _expand(pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        found = sorted(path.glob("*.tfrecord"))
    elif path.exists():
        found = [path]
    else:
        found = sorted(Path(match) for match in glob.glob(pattern))  # noqa: PTH207 - Path.glob takes no absolute pattern
    if not found:
        raise UsageError(f"{pattern}: no shards there. {HOW_TO_MAKE}")
    for match in found:
        if match.suffix != ".tfrecord":
            raise UsageError(f"{match}: not a shard (a shard's name ends in .tfrecord). {HOW_TO_MAKE}")
    return found


def _read_manifest(folder: Path) -> dict:
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
        return {
            "image_shape": [int(n) for n in manifest["image"]["shape"]],
            "shards": {shard["name"]: shard for shard in manifest["shards"]},
        }
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: it says what the shards hold. {HOW_TO_MAKE}") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UsageError(f"{path} cannot be read ({error!r}). {HOW_TO_MAKE} --overwrite") from None


def _describe(path: Path, manifest: dict) -> Shard:
    entry = manifest["shards"].get(path.name)
    if entry is None:
        raise UsageError(f"{path}: {path.parent / 'manifest.json'} does not list this shard. {HOW_TO_MAKE}")
    size = path.stat().st_size
    if size != entry["bytes"]:
        raise UsageError(
            f"{path} has {size:,} bytes and should have {entry['bytes']:,}: it is damaged. "
            f"See what is wrong with: python -m preprocess.verify {path.parent}"
        )
    return Shard(path, entry["split"], entry["count"], entry["sha256"])
