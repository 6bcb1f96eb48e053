"""Damaged shards made again, to the same bytes, from the photos and lists that their manifest names."""

from collections.abc import Collection
from pathlib import Path

import click

from preprocess import crop, staging
from preprocess import manifest as manifests
from preprocess.manifest import REJECTED, Document
from preprocess.sources import open_source
from preprocess.work import Work, annotate, describe, settings_of, write_missing
from preprocess.workers.local import WorkerPool
from system.files import write_json, write_text


def repair(folder: Path, manifest: Document, damaged: Collection[str], workers: int) -> None:
    """Write the documents and the damaged files again. A shard that would get other bytes stays as it is.

    Raises click.UsageError where photos or lists are not those of which the shards were made.
    """
    for name, document in manifests.documents(manifest).items():
        write_json(folder / name, document)
    before = {shard.name: shard for shard in manifests.shards(manifest)}
    is_list_damaged = REJECTED in damaged
    if not is_list_damaged and before.keys().isdisjoint(damaged):
        return
    settings, places = settings_of(manifest), [Path(path) for path in manifest["source"]["paths"]]
    paths = [path for path in (*places, settings.attributes, settings.partitions) if isinstance(path, Path)]
    if gone := [path for path in paths if not path.exists()]:
        raise _refusal(folder, [f"{path} is gone" for path in gone])
    source = open_source(places)
    listing = source.list(settings.ids)
    if differing := manifests.differences(manifest, describe(source, listing, settings)):
        raise _refusal(folder, differing)
    annotated = annotate(listing, settings)
    work = Work(annotated, source, settings, staging.repair_folder(folder, crop.versions()))
    # Which photos were rejected shows only when they are read again: those of the shards that have fewer than planned.
    again = [
        spec
        for spec, ids in work.planned.items()
        if spec.name in before and (spec.name in damaged or (is_list_damaged and before[spec.name].count != len(ids)))
    ]
    with WorkerPool(min(workers, len(again))) as pool:
        made = write_missing(work, again, pool)
    if is_list_damaged:
        rejected = [*annotated.rejected, *(rejection for shard in made for rejection in shard.rejected)]
        write_text(folder / REJECTED, manifests.rejected_lines(rejected))
    same = [shard.name for shard in made if shard.sha256 == before[shard.name].sha256]
    staging.restore(folder, [name for name in same if name in damaged])
    for shard in made:
        if shard.name not in same:
            click.echo(
                f"{shard.name}: made again it has other bytes, so it was left as it is. "
                f"It was made with {_listed(manifest['versions'])}; this is {_listed(crop.versions())}."
            )


def _refusal(folder: Path, differing: list[str]) -> click.UsageError:
    lines = "".join(f"\n  {line}" for line in differing)
    return click.UsageError(
        f"What the shards in {folder} were made of is not as it was (old -> new):{lines}\n"
        "No shard was touched. Bring it back, or make all shards again: python -m preprocess.run --overwrite."
    )


def _listed(versions: Document) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
