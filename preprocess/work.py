"""From settings and listed photos to the tasks of the workers."""

from collections.abc import Callable, Collection, Container, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

import click

from preprocess import classes
from preprocess import crop as crops
from preprocess import manifest as manifests
from preprocess.annotations import Attributes, read_attributes, read_partitions
from preprocess.crop import Crop, Rejection
from preprocess.manifest import Document
from preprocess.plan import ShardSpec, plan
from preprocess.shard import Photo, Shard, Task, Unfinished, write_shard
from preprocess.sources import Listing, Location, Source
from system.objects import Url, url_of

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Settings:
    """What decides the bytes besides the source: the lists, the crop, how photos are assigned to shards."""

    attributes: Path | Url | str | None  # a list, or classes.FOLDERS
    partitions: Path | Url | None
    crop: Crop
    shard_images: int
    limit: int | None
    seed: int
    ids: str  # one of sources.IDS
    dataset_name: str  # name of the data set for tfds


@dataclass(frozen=True)
class Annotated:
    """The photos to use, with their attributes and splits, and those without a row in a list."""

    photos: dict[str, Location]
    attributes: Attributes | None
    partition: dict[str, str] | None
    rejected: tuple[Rejection, ...]


def describe(source: Source, listing: Listing, settings: Settings) -> Document:
    """Return the recipe: what decides the bytes, and where the photos are."""
    return manifests.recipe(
        asdict(settings) | {"attributes": _list(settings.attributes), "partitions": _list(settings.partitions)},
        {
            "paths": [str(path) for path in source.paths],
            "photos": len(listing.photos),
            "fingerprint": listing.fingerprint,
        },
    )


def settings_of(manifest: Document) -> Settings:
    """Return the settings that `describe` wrote into a manifest."""
    settings = manifest["settings"]
    lists = {name: _path(settings[name]) for name in ("attributes", "partitions")}
    crop = settings["crop"]
    parsed = crops.parse(crop["name"], crop["filter"], crop["size"], crop["color"])
    return Settings(**settings | lists | {"crop": parsed})


def annotate(listing: Listing, settings: Settings) -> Annotated:
    """Return the photos within the limit, with their rows in the lists; those without a row are rejected."""
    photos = dict(islice(listing.photos.items(), settings.limit))
    last = next(reversed(photos), "") if settings.limit else None
    # Rejected photos beyond the limit do not count towards --max-rejected.
    among = zip(listing.rejected, listing.rejected_ids, strict=True)
    rejected = [rejection for rejection, photo_id in among if last is None or photo_id <= last]
    attributes = partition = None
    if isinstance(settings.attributes, Path | Url):
        attributes = read_attributes(settings.attributes, photos)
        rejected += _drop_unlisted(photos, attributes.rows, settings.attributes)
    elif settings.attributes:
        attributes = classes.attributes_of(photos)
    if settings.partitions:
        partition = read_partitions(settings.partitions, photos)
        rejected += _drop_unlisted(photos, partition, settings.partitions)
    return Annotated(photos, attributes, partition, tuple(rejected))


class Pool(Protocol):
    """Workers: of this machine (workers.local), or of a cluster (workers.dask)."""

    def completed(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Yield each task with its result as soon as it is done, in any order."""


@dataclass(frozen=True)
class Work:
    """What to write, and where to."""

    annotated: Annotated
    source: Source
    settings: Settings
    unfinished: Unfinished
    may_reject_all: bool = True

    @cached_property
    def planned(self) -> dict[ShardSpec, list[str]]:
        """The photo ids of each shard."""
        photos, partition = self.annotated.photos, self.annotated.partition
        return plan(photos, partition, self.settings.seed, self.settings.shard_images)

    def task(self, spec: ShardSpec) -> Task:
        """Return the task of one shard."""
        located, attributes = self.annotated.photos, self.annotated.attributes
        rows = attributes.rows if attributes else {}
        photos = [Photo(photo_id, located[photo_id], rows.get(photo_id)) for photo_id in self.planned[spec]]
        return Task(spec, photos, self.source, self.settings.crop, self.unfinished, self.may_reject_all)


def finished(work: Work, specs: Iterable[ShardSpec]) -> dict[ShardSpec, Shard]:
    """Return those of these shards that are written."""
    shards = work.unfinished.finished([spec.name for spec in specs])
    return {spec: shards[spec.name] for spec in specs if spec.name in shards}


def write_missing(work: Work, specs: Collection[ShardSpec], pool: Pool) -> list[Shard]:
    """Write those of these shards that are missing; return all of them in the order of `specs`."""
    from tqdm import tqdm  # 0.1 s that the workers, who import this module too, need not spend

    shards = finished(work, specs)
    missing = [spec for spec in specs if spec not in shards]
    photos = sum(len(work.planned[spec]) for spec in specs)
    done = photos - sum(len(work.planned[spec]) for spec in missing)
    click.echo(
        f"{photos:,} photos make {len(specs)} shards" + (f"; {len(specs) - len(missing)} are done." if done else ".")
    )
    with tqdm(total=photos, initial=done, unit=" photos", disable=None) as bar:
        # A task is built when a worker is free: building all 50 of CelebA first would keep the workers waiting.
        for task, shard in pool.completed(write_shard, map(work.task, missing)):
            shards[task.spec] = shard
            bar.set_postfix(rejected=sum(len(shard.rejected) for shard in shards.values()), refresh=False)
            bar.update(len(task.photos))
    return [shards[spec] for spec in specs]


def _drop_unlisted(photos: dict[str, Location], listed: Container[str], path: Path | Url) -> list[Rejection]:
    unlisted = [photo_id for photo_id in photos if photo_id not in listed]
    for photo_id in unlisted:
        del photos[photo_id]
    return [Rejection(photo_id, f"no row in {path.name}") for photo_id in unlisted]


def place_of(text: str) -> Path | Url:
    """Return the path or URL in a manifest."""
    return url_of(text) or Path(text)


def _list(named: Path | Url | str | None) -> Document | str | None:
    if isinstance(named, Path | Url):
        return {"path": str(named.absolute()), "sha256": sha256(named.read_bytes()).hexdigest()}
    return named


def _path(listed: Document | str | None) -> Path | Url | str | None:
    return place_of(listed["path"]) if isinstance(listed, dict) else listed
