"""The command line of stage 1: python -m preprocess.run."""

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from math import prod
from pathlib import Path
from time import perf_counter

import click

from preprocess import annotations
from preprocess import crop as crops
from preprocess import destination as destinations
from preprocess import manifest as manifests
from preprocess.classes import FOLDERS
from preprocess.command import Command
from preprocess.crop import Rejection
from preprocess.destination import destination
from preprocess.manifest import Document
from preprocess.options import AUTO, CropType, ListType, NameType, PartType, SizeType, workers_option
from preprocess.plan import Part
from preprocess.sources import IDS, Source, open_source, passed_over_message
from preprocess.work import Pool, Settings, Work, annotate, describe, finished, write_missing
from preprocess.workers.local import WorkerPool
from system.command import Number, Place
from system.lock import TIMEOUT_S
from system.objects import Url

_PART_TIMEOUT_S = 600  # other parts hold the lock while they begin, and while they look for all and publish


@click.command(cls=Command)
@click.option(
    "--source",
    "places",
    required=True,
    multiple=True,
    type=Place(),
    help="Photos: a folder, searched recursively, or a zip or tar, read without unpacking; or the URL of photos in a "
    "bucket (s3, gs, az, abfs) or of a zip or tar (also https, hf). May be several: --source photos/*.zip, or given "
    "again.",
)
@click.argument("more_places", nargs=-1, type=Place(), metavar="[SOURCE]...")
@click.option(
    "--out",
    required=True,
    type=Place(writable=True, file_okay=False),
    help="Folder of the shards, or the URL of a prefix in a bucket.",
)
@click.option(
    "--attributes",
    type=ListType(AUTO, FOLDERS),
    help="list_attr_celeba.txt or .csv: attributes for each record. auto: the list in the folder of photos or "
    "archives, or up to two levels above. folders: one attribute for each folder's name, as cats and dogs.",
)
@click.option(
    "--partitions",
    type=ListType(AUTO),
    help="list_eval_partition.txt or .csv, or auto: the split of each photo: train, valid or test. Without it: all "
    "train.",
)
@click.option(
    "--crop",
    "crop_text",
    default="progan",
    type=CropType(),
    help="Crop. For CelebA's aligned photos: "
    + ", ".join(f"{name} ({','.join(map(str, box))})" for name, (box, _) in crops.CELEBA_BOXES.items())
    + ". For photos of any size: center, the largest centred square, or a box in four numbers.",
)
@click.option(
    "--filter",
    "filter_name",
    type=click.Choice(list(crops.FILTERS)),
    help="Filter that resizes the crop. Without it: the usual filter of a named crop, else lanczos.",
)
@click.option("--size", default=crops.SIZE, type=SizeType(), help="Side of the square images, in pixels.")
@click.option(
    "--color", default="grey", type=click.Choice(list(crops.CHANNELS)), help="Grey levels, or red, green and blue."
)
@click.option(
    "--ids",
    type=click.Choice(IDS),
    help="What identifies a photo in lists and records: its file name, or its path in the source where names repeat.  "
    "[default: name; with --attributes folders path]",
)
@click.option(
    "--name",
    "dataset_name",
    type=NameType(),
    help="Name of the data set for tfds.  [default: celeba_faces and the size]",
)
@click.option("--shard-images", default=4096, type=click.IntRange(min=1), help="Maximum number of photos in a shard.")
@click.option("--limit", type=click.IntRange(min=1), help="Use only the first N photos, in the order of names.")
@click.option("--seed", default=0, type=click.IntRange(0, 2**64 - 1), help="Seed of the shuffle across shards.")
@workers_option
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Dask scheduler, tcp://HOST:8786, whose workers replace local processes. They need the same folders at the "
    "same paths.",
)
@click.option(
    "--part",
    type=PartType(),
    help="Make this part of the shards alone, as 3/16, into a folder that all parts share, in any order, also at the "
    "same time. The part that is finished last publishes them.",
)
@click.option(
    "--max-rejected",
    default=0.01,
    type=Number(0, 1),
    help="Fail if more than this fraction of the photos cannot be used.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace shards of other settings, once the new ones are complete. Shards of the same settings are kept.",
)
def main(
    places: tuple[Path | Url, ...],
    more_places: tuple[Path | Url, ...],
    out: Path | Url,
    attributes: Path | Url | str | None,
    partitions: Path | Url | str | None,
    crop_text: str,
    filter_name: str | None,
    size: int,
    color: str,
    ids: str | None,
    dataset_name: str | None,
    shard_images: int,
    limit: int | None,
    seed: int,
    workers: int,
    cluster: str | None,
    part: Part | None,
    max_rejected: float,
    overwrite: bool,
) -> None:
    """Crop photos once, in parallel, to small square images, and write them as sharded TFRecords.

    After an interruption the same command continues. When all is done, it does nothing.
    """
    began = perf_counter()
    places += more_places  # the shell makes several paths of photos/*.zip: all but the first come as arguments
    is_by_folder = attributes == FOLDERS
    if is_by_folder and ids == "name":
        raise click.UsageError(f"--attributes {FOLDERS} needs --ids path: a photo's name does not say its folder.")
    if overwrite and isinstance(out, Url):
        raise click.UsageError(
            f"--overwrite is for folders. Objects cannot be renamed, so the old shards in {out} would be gone before "
            "the new ones are complete: choose a new --out, and remove the old one afterwards."
        )
    settings = Settings(
        FOLDERS
        if is_by_folder
        else list_path(attributes, annotations.ATTRIBUTES, places, "the records get no attributes"),
        list_path(partitions, annotations.PARTITIONS, places, "every photo is in train, none is held out"),
        crops.parse(crop_text, filter_name, size, color),
        shard_images,
        limit,
        seed,
        ids or ("path" if is_by_folder else "name"),
        dataset_name or f"celeba_faces{size}",
    )
    with ExitStack() as stack:
        open_pool = pool_opener(workers, cluster, stack)
        manifest = produce(open_source(places), settings, out, open_pool, max_rejected, overwrite, part)
    if manifest:
        click.echo(summary(manifest, out, perf_counter() - began))


def list_path(
    option: Path | Url | str | None, name: str, sources: Sequence[Path | Url], loss: str
) -> Path | Url | None:
    """Return the list that an option names. For "auto" print its path, or what is lost where there is none."""
    if not isinstance(option, str):
        return option
    path = annotations.find_list(name, sources)
    if path:
        click.echo(f"Using {path}.")
    else:
        click.echo(f"No {name}.txt or .csv in the folder of the photos or archive, or up to two levels above: {loss}.")
    return path


def pool_opener(workers: int, cluster: str | None, stack: ExitStack) -> Callable[[], Pool]:
    """Return a function that opens the workers, of the cluster or else of this machine, until `stack` is closed.

    Processes start now, while the photos are listed; a cluster is contacted when there is something to do.
    """
    if cluster is None:
        pool = stack.enter_context(WorkerPool(workers))
        return lambda: pool
    try:
        from preprocess.workers.dask import ClusterPool  # 0.7 s, and a package that nothing else needs
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"--cluster needs {error.name}, which is not installed: pip install -r requirements-cluster.txt"
        ) from None
    return lambda: stack.enter_context(ClusterPool(cluster))


def produce(
    source: Source,
    settings: Settings,
    out: Path | Url,
    open_pool: Callable[[], Pool],
    max_rejected: float,
    overwrite: bool,
    part: Part | None = None,
) -> Document | None:
    """Write the shards of these settings to `out`, as far as they are missing; return their manifest.

    Of a `part` write its own shards, and return None where other parts are not finished.
    """
    stage = destination(out)
    # 1. List the photos, and look up their attributes and splits.
    listing = source.list(settings.ids)
    if listing.passed_over:
        click.echo(passed_over_message(listing.passed_over))
    recipe = describe(source, listing, settings)
    if not stage.is_begun(out):
        if manifest := up_to_date(out, recipe):
            return manifest
        stage.check_ours(out)  # before the lock, which leaves a file
    annotated = annotate(listing, settings)
    if annotated.attributes:
        names = ", ".join(annotated.attributes.names)
        click.echo(f"{len(annotated.attributes.names)} attributes in {settings.attributes}: {names}.")
    refuse_many(annotated.rejected, len(annotated.photos), max_rejected)
    lock = partial(stage.locked, out, timeout_s=_PART_TIMEOUT_S if part else TIMEOUT_S)
    with ExitStack() as held:
        held.enter_context(lock())
        stage.publish(out)  # what an interrupted run has completed
        if manifest := up_to_date(out, recipe):
            stage.clear(out)
            return manifest
        pool = open_pool()
        # 2. Plan the shards, and write those that are missing: a part does so beside others, without the lock.
        unfinished = stage.begin(out, recipe, crops.versions(), overwrite, in_parts=part is not None)
        if part:
            held.close()
        work = Work(annotated, source, settings, unfinished, may_reject_all=max_rejected == 1)
        specs = part.of(work.planned) if part else list(work.planned)
        try:
            made = dict(zip(specs, write_missing(work, specs, pool), strict=True))
        except click.ClickException:
            if part:  # perhaps another run made the same part, and has published and tidied up meanwhile
                held.enter_context(lock())
                if manifest := up_to_date(out, recipe):
                    return manifest
            raise
        # 3. Publish them, when all are there.
        if part:
            held.enter_context(lock())
            if manifest := up_to_date(out, recipe):
                return manifest
            made = finished(work, work.planned) | made
            if missing := part.unfinished(work.planned, made):
                click.echo(part_summary(part, missing))
                return None
        shards = [made[spec] for spec in work.planned]
        unfinished.check(shards)
        rejected = [*annotated.rejected, *(rejection for shard in shards for rejection in shard.rejected)]
        refuse_many(rejected, sum(shard.count for shard in shards), max_rejected)
        shape = settings.crop.shape
        manifest = manifests.build(recipe, crops.versions(), shape, annotated.attributes, shards, rejected)
        stage.complete(out, manifests.rejected_lines(rejected), manifests.documents(manifest), manifest)
        stage.publish(out)
        return manifest


def up_to_date(out: Path | Url, recipe: Document) -> Document | None:
    """Return the manifest of `out` where nothing is to be done there, and say so; else None."""
    manifest = destinations.up_to_date(out, recipe)
    if manifest:
        click.echo(f"{out} is up to date.")
    return manifest


def refuse_many(rejected: Sequence[Rejection], used: int, max_rejected: float) -> None:
    """Raise click.ClickException where more than this fraction of all photos is rejected, or nothing is left."""
    if used and len(rejected) <= max_rejected * (len(rejected) + used):
        return
    counts = Counter(rejection.reason for rejection in rejected)
    examples = {rejection.reason: rejection.id for rejection in reversed(rejected)}  # the first of each
    reasons = "".join(f"\n  {count:,}, such as {examples[reason]}: {reason}" for reason, count in counts.most_common())
    raise click.ClickException(
        f"{len(rejected):,} of {len(rejected) + used:,} photos cannot be used:{reasons}\n"
        f"That is more than --max-rejected {max_rejected:g}: correct the cause, or allow more and the same command "
        "continues."
    )


def part_summary(part: Part, unfinished: Sequence[int]) -> str:
    """Return the last line of the output where other parts are not finished: which, and what to type."""
    numbers = ", ".join(map(str, unfinished))
    return (
        f"Part {part.number} of {part.count} is finished. Not finished yet: {numbers}. The last "
        f"one publishes the shards. If one is not running: the same command with --part {unfinished[0]}/{part.count}."
    )


def summary(manifest: Document, out: Path | Url, seconds: float) -> str:
    """Return the last line of the output: what was written, and the command for the next stage."""
    counts = ", ".join(f"{count:,} {split}" for split, count in manifests.counts(manifest).items())
    shards = str(out) if isinstance(out, Url) else f"{shlex.quote(str(out))}/*.tfrecord"
    rejected, shape = sum(manifest["rejected"].values()), manifest["image"]["shape"]
    return (
        f"{len(manifest['shards'])} shards in {out}: {counts}; {rejected:,} rejected; "
        f"{prod(shape):,} bytes a photo ({'x'.join(map(str, shape))}); {seconds:.1f} s. "
        f"Next: python -m training.run --shards {shards}"
    )


if __name__ == "__main__":
    main()
