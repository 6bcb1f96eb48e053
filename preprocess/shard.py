"""One shard: read, crop, encode, fsync, rename."""

from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

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
    """All that a worker on any machine needs to write one shard into `folder`."""

    spec: ShardSpec
    photos: list[Photo]
    source: Source
    crop: Crop
    folder: Path
    may_reject_all: bool
    """Whether to continue where none of the first photos can be used."""

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

    def __str__(self) -> str:
        return self.name


def write_shard(task: Task) -> Shard:
    """Write a shard, and a JSON file that describes it; return the description.

    A photo that cannot be used leaves the shard one shorter.
    Raises click.ClickException when the source cannot be read or the shard cannot be written.
    """
    path = task.folder / task.spec.name
    rejected = []
    digest = sha256()
    with os_errors_reported():
        # Buffered: one system call for 250 photos.
        with task.source.opened() as read, replacing(path) as partial, partial.open("wb", buffering=1 << 20) as file:
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
            size = file.tell()
        count = len(task.photos) - len(rejected)
        shard = Shard(task.spec.name, task.spec.split, count, size, digest.hexdigest(), tuple(rejected))
        write_json(path.with_suffix(".json"), asdict(shard))
    return shard


def _refuse_unusable_source(rejected: list[Rejection]) -> None:
    """Raise click.ClickException where many photos, and all so far, cannot be used for one and the same reason."""
    if len(rejected) >= _MAX_ALIKE and len({rejection.reason for rejection in rejected}) == 1:
        raise click.ClickException(
            f"The first {len(rejected)} photos of a shard cannot be used, such as {rejected[0].id}: "
            f"{rejected[0].reason}. No shard was written. Correct the cause, or continue anyway with --max-rejected 1."
        )


def finished_shard(folder: Path, spec: ShardSpec) -> Shard | None:
    """Return a shard that `write_shard` finished in `folder` before; None where it did not."""
    path = folder / spec.name
    record = read_json(path.with_suffix(".json"))
    if record is None or not path.exists() or path.stat().st_size != record["bytes"]:
        return None
    return Shard(**record | {"rejected": tuple(Rejection(*rejection) for rejection in record["rejected"])})
