"""One shard: read, crop, frame, fsync, rename."""

from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import click

from preprocess.crop import Crop, Rejection, UnusablePhoto, pixels
from preprocess.files import read_json, replacing, write_json
from preprocess.plan import ShardSpec
from preprocess.sources import Location, Source
from preprocess.tfrecord import encode_example, frame_record

_HOPELESS = 256  # photos that are rejected for one reason before one is used: then the rest will be too


class Photo(NamedTuple):
    """A photo to be put into a shard: its id, its place in the source, one byte 0 or 1 for each attribute."""

    id: str
    location: Location
    attributes: bytes | None


@dataclass(frozen=True)
class Task:
    """All that a worker on any machine needs to make one shard in `folder`."""

    spec: ShardSpec
    photos: list[Photo]
    source: Source
    crop: Crop
    folder: Path
    may_reject_all: bool = True
    """Whether to go on where none of the first photos can be used."""

    def __str__(self) -> str:
        return self.spec.name


@dataclass(frozen=True)
class Shard:
    """What became of a task: the file's name, split, number of records, size in bytes, SHA-256; what it left out."""

    name: str
    split: str
    count: int
    bytes: int
    sha256: str
    rejected: tuple[Rejection, ...]


def write_shard(task: Task) -> Shard:
    """Write the task's shard, then beside it, as JSON, what it became; return that too.

    A photo that cannot be used leaves the shard one shorter.
    Raises click.ClickException when the source cannot be read or the shard cannot be written.
    """
    path = task.folder / task.spec.name
    rejected = []
    digest = sha256()
    try:
        with task.source.opened() as read, replacing(path) as file:
            for photo in task.photos:
                try:
                    image = pixels(read(photo.location), task.crop)
                except UnusablePhoto as rejection:
                    rejected.append(Rejection(photo.id, rejection.reason))
                    if not task.may_reject_all and file.tell() == 0:
                        _refuse_hopeless(rejected)
                    continue
                record = frame_record(encode_example(image, photo.id, photo.attributes))
                digest.update(record)
                file.write(record)
            size = file.tell()
        count = len(task.photos) - len(rejected)
        shard = Shard(task.spec.name, task.spec.split, count, size, digest.hexdigest(), tuple(rejected))
        write_json(_record_path(path), asdict(shard))
    except OSError as error:
        raise click.ClickException(
            f"Cannot write {path}: {error.strerror}. Make room or choose another --out; "
            "what is finished stays, and the same command continues."
        ) from None
    return shard


def _refuse_hopeless(rejected: list[Rejection]) -> None:
    """Raise click.ClickException where many photos, and all so far, cannot be used for one and the same reason."""
    if len(rejected) >= _HOPELESS and len({rejection.reason for rejection in rejected}) == 1:
        raise click.ClickException(
            f"The first {len(rejected)} photos of a shard cannot be used, such as {rejected[0].id}: "
            f"{rejected[0].reason}. Nothing was made. Correct the cause, or --max-rejected 1 goes on whatever comes."
        )


def finished_shard(folder: Path, spec: ShardSpec) -> Shard | None:
    """Return what became of a shard that `make` finished in `folder` before; None where it did not."""
    path = folder / spec.name
    record = read_json(_record_path(path))
    if record is None or not path.exists() or path.stat().st_size != record["bytes"]:
        return None
    return Shard(**record | {"rejected": tuple(Rejection(*rejection) for rejection in record["rejected"])})


def _record_path(path: Path) -> Path:
    return path.with_suffix(".json")
