"""From settings and listed photos to the tasks of the workers."""

from collections.abc import Collection, Container, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import click

from preprocess import crop as crops
from preprocess import manifest as manifests
from preprocess.annotations import Attributes, read_attributes, read_partitions
from preprocess.crop import Crop, Rejection
from preprocess.manifest import Document
from preprocess.plan import ShardSpec, plan
from preprocess.shard import Photo, Shard, Task, finished_shard, write_shard
from preprocess.sources import Listing, Location, Source, id_of
from preprocess.workers.local import WorkerPool
from system.files import sha256_of


@dataclass(frozen=True)
class Settings:
    """What decides the bytes besides the source: the lists, the crop, how photos are assigned to shards."""

    attributes: Path | None
    partitions: Path | None
    crop: Crop
    shard_images: int
    limit: int | None
    seed: int
    ids: str = "name"
    """One of sources.IDS."""
    dataset_name: str | None = None
    """What tfds calls the data set; None for celeba_faces and the size."""


@dataclass(frozen=True)
class Annotated:
    """The photos to use, with their attributes and splits, and those that a list lacks."""

    photos: dict[str, Location]
    attributes: Attributes | None
    partition: dict[str, str] | None
    rejected: tuple[Rejection, ...]

    def pick(self, ids: Sequence[str]) -> list[Photo]:
        """Return these photos as a task has them."""
        rows = self.attributes.rows if self.attributes else {}
        return [Photo(photo_id, self.photos[photo_id], rows.get(photo_id)) for photo_id in ids]


def describe(source: Source, listing: Listing, settings: Settings) -> Document:
    """Return the recipe: what decides the bytes, and where the photos are."""
    return manifests.recipe(
        {
            "attributes": _list(settings.attributes),
            "partitions": _list(settings.partitions),
            "crop": _without(manifests.LATER_OF_CROP, asdict(settings.crop)),
            "shard_images": settings.shard_images,
            "limit": settings.limit,
            "seed": settings.seed,
            **_without(manifests.LATER, {"ids": settings.ids, "dataset_name": settings.dataset_name}),
        },
        {
            "paths": [str(path) for path in source.paths],
            "photos": len(listing.photos),
            "fingerprint": listing.fingerprint,
        },
    )


def settings_of(manifest: Document) -> Settings:
    """Return the settings that `describe` wrote into a manifest."""
    settings = manifest["settings"]
    attributes, partitions = (settings[name] and Path(settings[name]["path"]) for name in ("attributes", "partitions"))
    crop_of, others = manifests.LATER_OF_CROP | settings["crop"], manifests.LATER | settings
    return Settings(
        attributes,
        partitions,
        crops.parse(crop_of["name"], crop_of["filter"], crop_of["size"], crop_of["color"]),
        settings["shard_images"],
        settings["limit"],
        settings["seed"],
        others["ids"],
        others["dataset_name"],
    )


def _without(defaults: Document, document: Document) -> Document:
    return {name: value for name, value in document.items() if name not in defaults or value != defaults[name]}


def annotate(listing: Listing, settings: Settings) -> Annotated:
    """Return the photos within the limit, with their rows in the lists; those without a row are rejected."""
    photos = dict(islice(listing.photos.items(), settings.limit))
    last = next(reversed(photos), "") if settings.limit else None
    # Within the limit alone: a source of 100,000 photos, 50 of them twice, has few of those among its first 1,000.
    rejected = [it for it in listing.rejected if last is None or id_of(it.id, settings.ids) <= last]
    attributes = settings.attributes and read_attributes(settings.attributes, photos)
    partition = settings.partitions and read_partitions(settings.partitions, photos)
    if attributes:
        rejected += _drop_unlisted(photos, attributes.rows, settings.attributes)
    if partition is not None:
        rejected += _drop_unlisted(photos, partition, settings.partitions)
    return Annotated(photos, attributes, partition, tuple(rejected))


class Work:
    """The shards to write into `folder`, and the photos of each."""

    def __init__(
        self,
        annotated: Annotated,
        source: Source,
        settings: Settings,
        folder: Path,
        may_reject_all: bool = True,
    ):
        self.planned = plan(annotated.photos, annotated.partition, settings.seed, settings.shard_images)
        self.folder = folder
        self._may_reject_all = may_reject_all
        self._annotated, self._source, self._crop = annotated, source, settings.crop

    def task(self, spec: ShardSpec) -> Task:
        """Return the task of one shard."""
        photos = self._annotated.pick(self.planned[spec])
        return Task(spec, photos, self._source, self._crop, self.folder, self._may_reject_all)


def write_missing(work: Work, specs: Collection[ShardSpec], pool: WorkerPool) -> list[Shard]:
    """Write those of these shards that are missing; return all of them in the order of `specs`."""
    from tqdm import tqdm  # 0.1 s that the workers, who import this module too, need not spend

    shards = {spec: finished_shard(work.folder, spec) for spec in specs}
    missing = [spec for spec in specs if shards[spec] is None]
    photos = sum(len(work.planned[spec]) for spec in specs)
    done = photos - sum(len(work.planned[spec]) for spec in missing)
    click.echo(
        f"{photos:,} photos make {len(specs)} shards" + (f"; {len(specs) - len(missing)} are done." if done else ".")
    )
    with tqdm(total=photos, initial=done, unit=" photos", disable=None) as bar:
        # A task is built when a worker is free: building all 50 of CelebA first would keep the workers waiting.
        for task, shard in pool.completed(write_shard, map(work.task, missing)):
            shards[task.spec] = shard
            bar.set_postfix(rejected=sum(len(shard.rejected) for shard in shards.values() if shard), refresh=False)
            bar.update(len(task.photos))
    return list(shards.values())


def _drop_unlisted(photos: dict[str, Location], listed: Container[str], path: Path) -> list[Rejection]:
    unlisted = [photo_id for photo_id in photos if photo_id not in listed]
    for photo_id in unlisted:
        del photos[photo_id]
    return [Rejection(photo_id, f"no row in {path.name}") for photo_id in unlisted]


def _list(path: Path | None) -> Document | None:
    return path and {"path": str(path.absolute()), "sha256": sha256_of(path)}
