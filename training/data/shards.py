"""Which shards a run reads, and what their manifests say. `training.data.pipeline` reads the pixels."""

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
    """One TFRecord file."""

    path: Path
    split: str
    """"train", "valid" or "test"."""
    count: int
    """Records to read, from the first."""
    sha256: str


@dataclass(frozen=True)
class ShardSet:
    """Shards of images of one shape."""

    image_shape: tuple[int, int, int]
    """height, width, channels."""
    shards: tuple[Shard, ...]

    @property
    def count(self) -> int:
        """Number of images in all shards."""
        return sum(shard.count for shard in self.shards)

    @property
    def image_bytes(self) -> int:
        """Bytes of one decoded uint8 image."""
        height, width, channels = self.image_shape
        return height * width * channels

    @property
    def fingerprint(self) -> str:
        """A hash of the images: independent of where the folder is."""
        lines = [f"{shard.path.name} {shard.count} {shard.sha256}" for shard in self.shards]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    @property
    def splits(self) -> set[str]:
        """The splits of the shards."""
        return {shard.split for shard in self.shards}

    def only(self, splits: Iterable[str]) -> ShardSet:
        """Return the shards of these splits."""
        wanted = set(splits)
        return replace(self, shards=tuple(shard for shard in self.shards if shard.split in wanted))

    def divide(self, train_on: str) -> tuple[ShardSet, ShardSet]:
        """Return the shards to train on, those of one split or "all", and the held-out ones; either may be empty."""
        train_splits = self.splits if train_on == "all" else {train_on}
        return self.only(train_splits), self.only(self.splits - train_splits)

    def first(self, limit: int) -> ShardSet:
        """Return the first `limit` images: whole shards in order, and a part of the last."""
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


def attribute_names(shards: ShardSet) -> list[str]:
    """Return the names of the attributes in the records.

    Raises:
        UsageError: there are none, or not the same in all folders.
    """
    listed = {}
    for folder in {shard.path.parent for shard in shards.shards}:
        listed[folder] = _load_manifest(folder).get("attribute_names") or []
        if not listed[folder]:
            raise UsageError(
                f"The shards in {folder} have no attributes. Make them with CelebA's list: "
                "python -m preprocess.run --source PHOTOS --attributes list_attr_celeba.txt --out FOLDER"
            )
    if len(set(map(tuple, listed.values()))) > 1:
        raise UsageError(f"{' and '.join(map(str, listed))} list different attributes. Name one folder.")
    return next(iter(listed.values()))


def origin(shards: ShardSet) -> dict[str, object]:
    """Return the fingerprint of the photos that the shards were made from, their crop, and the shape of the images."""
    manifest = _load_manifest(shards.shards[0].path.parent)
    return {
        "source": manifest.get("source", {}).get("fingerprint"),
        "crop": manifest.get("settings", {}).get("crop"),
        "image_shape": list(shards.image_shape),
    }


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
        manifest = _load_manifest(folder)
        return {
            "image_shape": [int(n) for n in manifest["image"]["shape"]],
            "shards": {shard["name"]: shard for shard in manifest["shards"]},
        }
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: it says what the shards hold. {HOW_TO_MAKE}") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UsageError(f"{path} cannot be read ({error!r}). {HOW_TO_MAKE} --overwrite") from None


def _load_manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_bytes())  # bytes: with a byte order mark too, as stage 1


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
