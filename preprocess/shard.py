"""One shard: read, crop, encode, and in a folder fsync and rename."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import click

from preprocess.crop import Crop, Rejection, UnusablePhoto, pixels
from preprocess.plan import ShardSpec
from preprocess.sources import Location, Source
from preprocess.tfrecord import encode_example, frame_record
from system.command import os_errors_reported
from system.files import read_json, replacing, write_json

_MAX_ALIKE = 256  # after so many photos rejected for one reason, and none used, the rest is not tried


class Photo(NamedTuple):
    """A photo of a shard: its id, its location in the source, one byte 0 or 1 for each attribute."""

    id: str
    location: Location
    attributes: bytes | None


@dataclass(frozen=True)
class Task:
    """All that a worker on any machine needs to write one shard."""

    spec: ShardSpec
    photos: list[Photo]
    source: Source
    crop: Crop
    unfinished: "Unfinished"
    may_reject_all: bool  # whether to continue where none of the first photos can be used

    def __str__(self) -> str:
        return self.spec.name


@dataclass(frozen=True)
class Shard:
    """A written shard: file name, split, number of records, size in bytes, SHA-256; the photos that it leaves out."""

    name: str
    split: str
    count: int
    bytes: int
    sha256: str
    rejected: tuple[Rejection, ...]
    etag: str = ""  # of the object, where the shard is one

    def __str__(self) -> str:
        return self.name

    @classmethod
    def described(cls, description: dict[str, Any]) -> "Shard":
        """Return the shard that a description, as of `asdict`, was made of."""
        return cls(**description | {"rejected": tuple(Rejection(*rejection) for rejection in description["rejected"])})


class Unfinished(Protocol):
    """Where shards are written, each with its description: a folder or a prefix in a bucket. It goes to the workers."""

    def write(self, name: str, write_records: Callable[[BinaryIO], Shard]) -> Shard:
        """Let `write_records` write a shard, all of which is there when this returns; return its description.

        Where `write_records` raises, nothing has changed.
        """

    def finished(self, names: Collection[str]) -> dict[str, Shard]:
        """Return those of these shards that are there."""

    def check(self, shards: Sequence[Shard]) -> None:
        """Raise click.ClickException where a shard is not any more what was written."""


@dataclass(frozen=True)
class Folder:
    """Unfinished shards in a folder that no other run writes to."""

    path: Path

    def write(self, name: str, write_records: Callable[[BinaryIO], Shard]) -> Shard:
        """See Unfinished."""
        path = self.path / name
        # Buffered: one system call for 250 photos.
        with replacing(path) as temporary, temporary.open("wb", buffering=1 << 20) as file:
            shard = write_records(file)
        write_json(path.with_suffix(".json"), asdict(shard))
        return shard

    def finished(self, names: Collection[str]) -> dict[str, Shard]:
        """See Unfinished."""
        return {name: shard for name in names if (shard := self._finished(name))}

    def check(self, shards: Sequence[Shard]) -> None:
        """See Unfinished."""

    def _finished(self, name: str) -> Shard | None:
        path = self.path / name
        description = read_json(path.with_suffix(".json"))
        if description is None or not path.exists() or path.stat().st_size != description["bytes"]:
            return None
        return Shard.described(description)


def write_shard(task: Task) -> Shard:
    """Write a shard, and what describes it; return the description.

    A photo that cannot be used leaves the shard one shorter.
    Raises click.ClickException when the source cannot be read or the shard cannot be written.
    """
    with os_errors_reported():
        return task.unfinished.write(task.spec.name, partial(_write_records, task))


def _write_records(task: Task, file: BinaryIO) -> Shard:
    rejected = []
    digest = sha256()
    with task.source.opened([photo.location for photo in task.photos]) as read:
        for photo in task.photos:
            try:
                image = pixels(read(photo.location), task.crop)
            except UnusablePhoto as rejection:
                rejected.append(Rejection(photo.id, str(rejection)))
                if not task.may_reject_all and file.tell() == 0:
                    _refuse_unusable_source(rejected)
                continue
            record = frame_record(encode_example(image, photo.id, photo.attributes))
            digest.update(record)
            file.write(record)
    count = len(task.photos) - len(rejected)
    return Shard(task.spec.name, task.spec.split, count, file.tell(), digest.hexdigest(), tuple(rejected))


def _refuse_unusable_source(rejected: list[Rejection]) -> None:
    """Raise click.ClickException where many photos, and all so far, cannot be used for one and the same reason."""
    if len(rejected) >= _MAX_ALIKE and len({rejection.reason for rejection in rejected}) == 1:
        raise click.ClickException(
            f"The first {len(rejected)} photos of a shard cannot be used, such as {rejected[0].id}: "
            f"{rejected[0].reason}. No shard was written. Correct the cause, or continue anyway with --max-rejected 1."
        )
