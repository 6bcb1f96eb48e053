"""Which shards a run reads, and what their manifests say. `training.data.reading` reads the pixels."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from unicodedata import normalize

from click import UsageError

from system.files import parsed_json, sha256_of
from system.objects import MissingObject, Url, url_of
from training.batch import ImageShape
from training.data.cache import ShardCache

HOW_TO_MAKE = "Make shards with: python -m preprocess.run --source PHOTOS --out FOLDER"
NAMED = 12  # missing shards in a message; the rest is counted


@dataclass(frozen=True)
class Manifest:
    """What manifest.json says of a folder of shards."""

    image_shape: ImageShape
    attribute_names: tuple[str, ...]  # of the attributes in the records, in their order
    # Those of which exactly one holds in each record; none where nothing is known.
    exclusive_attributes: tuple[str, ...]
    # The fingerprint of the photos that the shards were made from, their crop, and the shape of the images.
    origin: dict[str, Any]
    entries: dict[str, dict]  # split, count, bytes and SHA-256 of each shard, by its name


@dataclass(frozen=True)
class Shard:
    """One TFRecord file."""

    path: Path | Url
    split: str  # "train", "valid" or "test"
    count: int  # records to read, from the first
    sha256: str
    manifest: Manifest

    @property
    def folder(self) -> Path | Url:
        """The folder that it is in."""
        return self.path.parents[0]


@dataclass(frozen=True)
class ShardSet:
    """Shards of images of one shape."""

    image_shape: ImageShape
    shards: tuple[Shard, ...]
    # Where networks that were trained on the photos, and features of them, are kept; None: beside the shards.
    chosen_features_dir: Path | None = None
    cache: ShardCache | None = None  # where those that are at URLs are read from

    @property
    def features_dir(self) -> Path:
        """The folder of feature spaces: the chosen one, or features/ in the folder of the first shard.

        Raises UsageError where that is not on a disk.
        """
        folder = self.chosen_features_dir or self.shards[0].folder / "features"
        if isinstance(folder, Url):
            raise UsageError(f"{folder} cannot be a folder of networks and features: name a local one, --features-dir.")
        return folder

    @property
    def attribute_names(self) -> list[str]:
        """The attributes in the records; raise UsageError where there are none, or not the same in all folders."""
        names = {shard.folder: shard.manifest.attribute_names for shard in self.shards}
        if without := [folder for folder in names if not names[folder]]:
            raise UsageError(
                f"The shards in {without[0]} have no attributes. Make them with CelebA's list, a table of your "
                "own, or the names of folders: python -m preprocess.run --source PHOTOS --out FOLDER "
                "--attributes list_attr_celeba.txt (or labels.csv, or folders)"
            )
        if len(set(names.values())) > 1:
            raise UsageError(f"{' and '.join(map(str, names))} list different attributes. Name one folder.")
        return list(next(iter(names.values())))

    @property
    def exclusive_attributes(self) -> tuple[str, ...]:
        """The attributes of which exactly one holds in each record; none where the folders do not agree."""
        groups = {shard.manifest.exclusive_attributes for shard in self.shards}
        return groups.pop() if len(groups) == 1 else ()

    @property
    def origin(self) -> dict[str, Any]:
        """`Manifest.origin` of the first shard's folder."""
        return self.shards[0].manifest.origin

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


def find(
    patterns: Iterable[str | Path | Url], features_dir: Path | None = None, cache: ShardCache | None = None
) -> ShardSet:
    """Return the shards of files, folders, URLs and glob patterns, in any mixture, with their folders' manifests.

    A folder, or a pattern, names the shards of the manifest that it matches, whether they are there or not. Of a URL
    the last part can be a pattern; its shards are read through `cache`.
    Raises UsageError where nothing matches, a shard is missing, not listed or not whole, or the shapes differ, and
    StorageError where a manifest cannot be fetched.
    """
    places = [url_of(str(pattern)) or Path(os.path.expanduser(str(pattern))) for pattern in patterns]  # noqa: PTH111 - leaves ~nobody as it is
    try:
        shards = _on_disk([place for place in places if isinstance(place, Path)])
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}.") from None
    if remote := {shard.path: shard for place in places if isinstance(place, Url) for shard in _at(place)}:
        if cache is None:
            raise UsageError(f"{next(iter(remote))} is read through a cache, and none was given.")
        cache.check([shard.manifest.entries[shard.path.name]["bytes"] for shard in remote.values()])
        shards += sorted(remote.values(), key=lambda shard: str(shard.path).split("/"))
    shapes = {shard.folder: shard.manifest.image_shape for shard in shards}
    if len(set(shapes.values())) > 1:
        listed = "; ".join(f"{folder} holds {'x'.join(map(str, shape))}" for folder, shape in shapes.items())
        raise UsageError(f"Shards of one shape are needed: {listed}. Name one folder.")
    return ShardSet(next(iter(shapes.values())), tuple(shards), features_dir, cache if remote else None)


def are_unchanged(shards: ShardSet) -> bool:
    """Whether the folders still hold the shards that `find` found there: another run may have replaced them since.

    What comes from URLs is compared with the manifest when it is fetched.
    """
    local = [(shard, shard.path) for shard in shards.shards if isinstance(shard.path, Path)]
    try:
        manifests = {folder: _read_manifest(folder) for folder in {path.parent for _, path in local}}
        now = [_describe(path, manifests[path.parent]) for _, path in local]
    except (UsageError, OSError):
        return False
    return [shard.sha256 for shard in now] == [shard.sha256 for shard, _ in local]


def damage(shards: ShardSet) -> list[str]:
    """Return what is wrong with each shard that is no longer as it was made, by its SHA-256: it is read to its end.

    Of those at URLs the copies in the cache are read.
    """
    return [f"{shard.path} {fault}" for shard in shards.shards if (fault := _fault(shard, shards.cache))]


def how_to_repair(folder: Path) -> str:
    """Return the command that finds damaged and missing shards and makes them again."""
    return f"python -m preprocess.verify --repair {shlex.quote(str(folder))}"


def _fault(shard: Shard, cache: ShardCache | None) -> str | None:
    if isinstance(shard.path, Url):
        copy = cache.path(shard.sha256) if cache else None
        is_damaged = copy and copy.exists() and sha256_of(copy) != shard.sha256
        return f"has a damaged copy, {copy}, which the next run replaces" if is_damaged else None
    try:
        is_whole = sha256_of(shard.path) == shard.sha256
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if is_whole else "is damaged (its SHA-256 is not that of the manifest)"


def _on_disk(places: list[Path]) -> list[Shard]:
    """Return the shards of files, folders and patterns on a disk, in order."""
    files = {path for path in places if path.is_file()}
    paths = files | _missing_in_list(files)
    for place in places:
        paths |= set() if place in files else _expand(place)
    for path in sorted(paths):
        if path.suffix != ".tfrecord":
            raise UsageError(f"{path}: not a shard (a shard's name ends in .tfrecord). {HOW_TO_MAKE}")
    manifests = {folder: _read_manifest(folder) for folder in _folders(paths)}
    for folder, manifest in manifests.items():
        _check_complete(folder, sorted(path for path in paths if path.parent == folder), manifest.entries)
    return [_describe(path, manifests[path.parent]) for path in sorted(paths)]


def _at(url: Url) -> list[Shard]:
    """Return the shards of a folder at a URL, or of a pattern for the names in its manifest."""
    is_pattern = re.search(r"[*?[]|[.]tfrecord$", url.name)
    folder, pattern = (url.parents[0], url.name) if is_pattern else (url, "*")
    manifest = _read_manifest(folder)
    entries = {name: entry for name, entry in manifest.entries.items() if fnmatchcase(name, pattern)}
    if not entries:
        raise UsageError(f"{url}: {folder / 'manifest.json'} lists no such shards.")
    return [
        Shard(folder / name, entry["split"], entry["count"], entry["sha256"], manifest)
        for name, entry in entries.items()
    ]


def _folders(paths: Iterable[Path]) -> list[Path]:
    return sorted({path.parent for path in paths})


def _expand(place: Path) -> set[Path]:
    """Return the shards that a folder or a pattern names: those that it matches on the disk and in manifests.

    Of a pattern the longest part that is a folder is taken as it is written: "a [2021] copy/*.tfrecord".
    """
    place = place / "*.tfrecord" if place.is_dir() else place
    folder = next(parent for parent in place.parents if parent.is_dir())
    pattern = str(place.relative_to(folder))
    # Path.glob would match hidden files too, such as macOS's ._train-00000-of-00040.tfrecord.
    matches = {folder / match for match in glob.glob(pattern, root_dir=folder, recursive=True)}  # noqa: PTH207
    paths = {path for match in matches for path in (_expand(match) if match.is_dir() else {match})}
    for parent in {match.parent for match in matches} | {place.parent}:
        paths |= {parent / name for name in _listed(parent) if fnmatchcase(name, place.name)}
    if not paths:
        raise UsageError(f"{place}: no shards there. {_how_to_make(folder)}")
    return paths


def _missing_in_list(files: set[Path]) -> set[Path]:
    """Return the shards that a list of files would have, were they there: the shell makes it of data/*.tfrecord.

    A list that leaves out shards of a split that are there is a choice. Any other stands for all shards of its splits,
    or of the folder where it leaves out nothing that is there.
    """
    missing = set()
    for folder in _folders(files):
        listed = {folder / name: entry["split"] for name, entry in _listed(folder).items()}
        existing = {path for path in listed if path.exists()}
        left_out = {listed[path] for path in existing - files}
        whole = {listed[path] for path in existing & files} - left_out if left_out else set(listed.values())
        missing |= {path for path in listed.keys() - existing if listed[path] in whole}
    return missing


def _check_complete(folder: Path, paths: list[Path], listed: dict[str, dict]) -> None:
    """Raise UsageError where shards of the manifest are not there."""
    existing = [path for path in paths if path.exists()]
    missing = [path.name for path in paths if path.name in listed and path not in existing]
    if not missing:
        return
    names = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
    photos, total = (sum(listed[name]["count"] for name in of) for of in (missing, listed))
    message = (
        f"{folder} is not complete: {len(missing)} of the {len(listed)} shards in its manifest are missing, with "
        f"{photos:,} of {total:,} photos: {names}. Copy them again, or make them again from the photos: "
        f"{how_to_repair(folder)}"
    )
    if existing:
        pattern = folder / f"{existing[0].name.partition('-of-')[0]}-*.tfrecord"
        message += f"\nTo use only some of the others, name them by patterns in quotes: {shlex.quote(str(pattern))}"
    raise UsageError(message)


def _how_to_make(folder: Path | Url) -> str:
    if isinstance(folder, Path) and (folder / ".unfinished").exists():
        return "Stage 1 has not finished there: the same command of python -m preprocess.run finishes it."
    return HOW_TO_MAKE


def _listed(folder: Path) -> dict[str, dict]:
    """Return the shards of a folder's manifest by name; none where it cannot be read."""
    try:
        return _read_manifest(folder).entries
    except UsageError:
        return {}


def _read_manifest(folder: Path | Url) -> Manifest:
    path = folder / "manifest.json"
    try:
        manifest = parsed_json(path.read_bytes())  # as bytes, with or without a byte order mark
        height, width, channels = map(int, manifest["image"]["shape"])
        if not all(re.fullmatch("[0-9a-f]{64}", shard["sha256"]) for shard in manifest["shards"]):
            raise ValueError("a SHA-256 has 64 hexadecimal digits")
        return Manifest(
            (height, width, channels),
            _composed(manifest["attribute_names"] or ()),
            _composed(manifest.get("exclusive_attributes", ())),
            {
                "source": manifest["source"]["fingerprint"],
                "crop": manifest["settings"]["crop"],
                "image_shape": [height, width, channels],
            },
            {shard["name"]: shard for shard in manifest["shards"]},
        )
    except (FileNotFoundError, NotADirectoryError, MissingObject):
        raise UsageError(
            f"{path} is missing: it says what the shards hold. If they were copied, copy it too. {_how_to_make(folder)}"
        ) from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UsageError(f"{path} cannot be read ({error!r}). {HOW_TO_MAKE} --overwrite") from None


def _composed(names: Iterable[str]) -> tuple[str, ...]:
    """Return names as they are typed (NFC): in a table of a Mac's folders they are not."""
    return tuple(normalize("NFC", name) for name in names)


def _describe(path: Path, manifest: Manifest) -> Shard:
    entry = manifest.entries.get(path.name)
    if entry is None:
        raise UsageError(f"{path}: {path.parent / 'manifest.json'} does not list this shard. Move it away.")
    size = path.stat().st_size
    if size != entry["bytes"]:
        raise UsageError(
            f"{path} has {size:,} bytes and should have {entry['bytes']:,}: it is damaged, or its copy was cut short. "
            f"Copy it again, or make it again from the photos: {how_to_repair(path.parent)}"
        )
    return Shard(path, entry["split"], entry["count"], entry["sha256"], manifest)
