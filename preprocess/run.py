"""The command line of stage 1: python -m preprocess.run."""

import shlex
import signal
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from math import ceil
from pathlib import Path
from time import perf_counter

import click

from preprocess import crop as crops
from preprocess import dataset, staging
from preprocess.annotations import Attributes, read_attributes, read_partitions
from preprocess.crop import Crop, Rejection
from preprocess.dataset import Document
from preprocess.files import sha256_of
from preprocess.lock import held
from preprocess.plan import ShardSpec, plan
from preprocess.shard import Photo, Shard, Task, made, make
from preprocess.sources import Listing, Location, Source, open_source
from preprocess.workers import Crew, usable_cores

# Opens workers, with the protocol of a Crew, for at most this many tasks.
Hire = Callable[[int], AbstractContextManager[Crew]]


@dataclass(frozen=True)
class Settings:
    """What decides the bytes, but for the source: the lists, the crop, how photos are dealt to shards."""

    attributes: Path | None
    partitions: Path | None
    crop: Crop
    shard_images: int
    limit: int | None
    seed: int


@dataclass(frozen=True)
class Annotated:
    """Photos that are to be used, with what the lists say of them, and those that a list does not have."""

    photos: dict[str, Location]
    attributes: Attributes | None
    partition: dict[str, str] | None
    rejected: tuple[Rejection, ...]

    def pick(self, ids: Sequence[str]) -> list[Photo]:
        """Return these photos as a shard takes them."""
        rows = self.attributes.rows if self.attributes else {}
        return [Photo(photo_id, self.photos[photo_id], rows.get(photo_id)) for photo_id in ids]


class _CropType(click.ParamType):
    name = "NAME|L,T,R,B"

    def convert(self, value, param, context):
        try:
            crops.parse(value)
        except ValueError as error:
            self.fail(str(error), param, context)
        return value


workers_option = click.option(
    "--workers",
    default=usable_cores,
    show_default="the usable cores",
    type=click.IntRange(min=1),
    help="Processes that work side by side. What comes of it is the same for any number.",
)

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(context_settings={"max_content_width": 120, "show_default": True})
@click.option(
    "--source",
    "places",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="The photos: a folder, searched recursively, or a zip or a tar, read in place. May be given several times.",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The folder for the shards."
)
@click.option("--attributes", type=_FILE, help="list_attr_celeba.txt or .csv: its attributes go into each record.")
@click.option(
    "--partitions",
    type=_FILE,
    help="list_eval_partition.txt or .csv: which photos are for training, validation, testing. Without it: all train.",
)
@click.option(
    "--crop",
    "crop_text",
    default="progan",
    type=_CropType(),
    help="What to cut out. For CelebA's aligned photos: "
    + ", ".join(f"{name} ({','.join(map(str, box))})" for name, (box, _) in crops.CELEBA_BOXES.items())
    + ". For photos of any size: center, the largest centred square, or a box of your own in four numbers.",
)
@click.option(
    "--filter",
    "filter_name",
    type=click.Choice(list(crops.FILTERS)),
    help="How the cut is brought to its size. Without it: the filter that the crop's users take, else lanczos.",
)
@click.option(
    "--shard-images",
    default=4096,
    type=click.IntRange(min=1),
    help="The most photos in a shard: more make fewer and larger files, fewer give more workers something to do.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), help="Use only the first photos, in the order of names: for a trial."
)
@click.option(
    "--seed",
    default=0,
    type=click.IntRange(0, 2**64 - 1),
    help="Deals the photos to shards: another seed, another mix in each.",
)
@workers_option
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="In place of processes of this machine: the workers of the Dask cluster with its scheduler at "
    "tcp://HOST:8786. They need the same folders at the same paths.",
)
@click.option(
    "--max-rejected",
    default=0.01,
    type=click.FloatRange(0, 1),
    help="Fail where more than this fraction of the photos cannot be used: then something else is wrong.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace shards of other settings, once the new ones are complete. Shards of these settings are kept.",
)
def main(
    places: tuple[Path, ...],
    out: Path,
    attributes: Path | None,
    partitions: Path | None,
    crop_text: str,
    filter_name: str | None,
    shard_images: int,
    limit: int | None,
    seed: int,
    workers: int,
    cluster: str | None,
    max_rejected: float,
    overwrite: bool,
) -> None:
    """Crop photos once, in parallel, to 64x64 grey pixels, and write them as sharded TFRecords.

    Killed or stopped, the same command continues where it was. Called again when all is done, it does nothing.
    """
    began = perf_counter()
    settings = Settings(attributes, partitions, crops.parse(crop_text, filter_name), shard_images, limit, seed)
    with stopping_in_words(), failing_in_words():
        manifest = produce(open_source(places), settings, out, hiring(workers, cluster), max_rejected, overwrite)
    click.echo(summary(manifest, out, perf_counter() - began))


def hiring(workers: int, cluster: str | None) -> Hire:
    """Return what opens workers for so many shards: those of the cluster, or else processes of this machine."""
    if cluster is None:
        return lambda shards: Crew(min(workers, shards))
    try:
        from preprocess.cluster import Cluster  # 0.7 s, and a package that nothing else needs
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"--cluster needs {error.name}, which is not installed: pip install -r requirements-cluster.txt"
        ) from None
    return lambda _: Cluster(cluster)


def produce(
    source: Source, settings: Settings, out: Path, hire: Hire, max_rejected: float, overwrite: bool
) -> Document:
    """Bring the shards of these settings into `out`, doing only what is not done yet; return their manifest."""
    # 1. List the photos.
    listing = source.list()
    recipe = describe(source, listing, settings)
    if staging.is_up_to_date(out, recipe) and not staging.is_begun(out):
        return _as_it_is(out)
    with held(out):
        staging.publish(out)  # what an earlier run had no time for
        if staging.is_up_to_date(out, recipe):
            staging.clear(out)
            return _as_it_is(out)
        with hire(ceil(len(listing.photos) / settings.shard_images)) as crew:
            # 2. Find what the lists say of them.
            annotated = annotate(listing, settings)
            refuse_many(annotated.rejected, len(annotated.photos), max_rejected)
            # 3. Plan the shards, and make those that are missing.
            folder = staging.begin(out, recipe, overwrite).absolute()  # a cluster's workers run in other folders
            work = Work(annotated, source, settings, folder)
            shards = make_missing(work, work.planned, crew)
        # 4. Publish them, when all are there.
        rejected = [*annotated.rejected, *(rejection for shard in shards for rejection in shard.rejected)]
        refuse_many(rejected, sum(shard.count for shard in shards), max_rejected)
        names = annotated.attributes and annotated.attributes.names
        staging.complete(
            out,
            dataset.rejected_lines(rejected),
            dataset.features(names and len(names)),
            dataset.dataset_info(settings.crop, shards),
            dataset.manifest(recipe, crops.versions(), names, shards, rejected),
        )
        staging.publish(out)
        return staging.finished(out)


def describe(source: Source, listing: Listing, settings: Settings) -> Document:
    """Return the recipe: what decides the bytes, and where the photos are."""
    return dataset.recipe(
        {
            "attributes": _list(settings.attributes),
            "partitions": _list(settings.partitions),
            "crop": asdict(settings.crop),
            "shard_images": settings.shard_images,
            "limit": settings.limit,
            "seed": settings.seed,
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
    crop = crops.parse(settings["crop"]["name"], settings["crop"]["filter"])
    return Settings(attributes, partitions, crop, settings["shard_images"], settings["limit"], settings["seed"])


def annotate(listing: Listing, settings: Settings) -> Annotated:
    """Return the photos within the limit, with their rows in the lists; those without a row are rejected."""
    photos = dict(islice(listing.photos.items(), settings.limit))
    rejected = list(listing.rejected)
    attributes = settings.attributes and read_attributes(settings.attributes, photos)
    partition = settings.partitions and read_partitions(settings.partitions, photos)
    if attributes:
        rejected += _drop_unlisted(photos, attributes.rows, settings.attributes)
    if partition is not None:
        rejected += _drop_unlisted(photos, partition, settings.partitions)
    return Annotated(photos, attributes, partition, tuple(rejected))


class Work:
    """What there is to do: which photos make which shard in `folder`."""

    def __init__(self, annotated: Annotated, source: Source, settings: Settings, folder: Path):
        self.planned = plan(annotated.photos, annotated.partition, settings.seed, settings.shard_images)
        self.folder = folder
        self._annotated, self._source, self._crop = annotated, source, settings.crop

    def task(self, spec: ShardSpec) -> Task:
        """Return what a worker needs to make one shard."""
        return Task(spec, self._annotated.pick(self.planned[spec]), self._source, self._crop, self.folder)


def make_missing(work: Work, specs: Collection[ShardSpec], crew: Crew) -> list[Shard]:
    """Make each of these shards that an earlier run did not; return all of them in the order of `specs`."""
    from tqdm import tqdm  # 0.1 s that the workers, who import this module too, need not spend

    shards = {spec: made(work.folder, spec) for spec in specs}
    missing = [spec for spec in specs if shards[spec] is None]
    photos = sum(len(work.planned[spec]) for spec in specs)
    done = photos - sum(len(work.planned[spec]) for spec in missing)
    click.echo(
        f"{photos:,} photos make {len(specs)} shards" + (f"; {len(specs) - len(missing)} are there." if done else ".")
    )
    with tqdm(total=photos, initial=done, unit=" photos", disable=None) as bar:
        # A task is made when a worker is free to take it: all 50 of CelebA at once would keep the first one waiting.
        for task, shard in crew.completed(make, map(work.task, missing)):
            shards[task.spec] = shard
            bar.set_postfix(rejected=sum(len(shard.rejected) for shard in shards.values() if shard), refresh=False)
            bar.update(len(task.photos))
    return list(shards.values())


def refuse_many(rejected: Sequence[Rejection], used: int, max_rejected: float) -> None:
    """Raise click.ClickException where more than this fraction of all photos is rejected, or nothing is left."""
    if used and len(rejected) <= max_rejected * (len(rejected) + used):
        return
    counts = Counter(rejection.reason for rejection in rejected)
    reasons = "".join(f"\n  {count:,}: {reason}" for reason, count in counts.most_common())
    examples = ", ".join(rejection.id for rejection in rejected[:3])
    raise click.ClickException(
        f"{len(rejected):,} of {len(rejected) + used:,} photos cannot be used:{reasons}\nAmong them {examples}. "
        f"That is more than --max-rejected {max_rejected:g}: correct the cause, or allow more and the same command "
        "continues."
    )


def summary(manifest: Document, out: Path, seconds: float) -> str:
    """Return the last line of the output: what lies where, and what to type next."""
    counts = ", ".join(f"{count:,} {split}" for split, count in dataset.counts(manifest).items())
    rejected = sum(manifest["rejected"].values())
    return (
        f"{len(manifest['shards'])} shards in {out}: {counts}; {rejected:,} rejected; {seconds:.1f} s. "
        f"Next: python -m training.run --shards {shlex.quote(str(out))}/*.tfrecord"
    )


def _as_it_is(out: Path) -> Document:
    click.echo(f"{out} is up to date.")
    return staging.finished(out)


def _drop_unlisted(photos: dict[str, Location], listed: Container[str], path: Path) -> list[Rejection]:
    unlisted = [photo_id for photo_id in photos if photo_id not in listed]
    for photo_id in unlisted:
        del photos[photo_id]
    return [Rejection(photo_id, f"no row in {path.name}") for photo_id in unlisted]


def _list(path: Path | None) -> Document | None:
    return path and {"path": str(path.absolute()), "sha256": sha256_of(path)}


@contextmanager
def stopping_in_words() -> Iterator[None]:
    """Answer Ctrl-C and SIGTERM with one line, and the exit status that shells expect: 130 and 143."""

    def stop(number, frame):
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except SystemExit:
        click.echo("Stopped. What is finished stays, and the same command continues.", err=True)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def failing_in_words() -> Iterator[None]:
    """Say in one line what the disk refused."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or 'The disk'}: {error.strerror}. Mend that, or choose another --out; "
            "what was finished stays, and the same command continues."
        ) from None


if __name__ == "__main__":
    main()
