"""Damaged shards made again, to the same bytes, from the photos and lists that their manifest names."""

from collections.abc import Collection
from pathlib import Path

import click

from preprocess import crop
from preprocess import manifest as manifests
from preprocess.destination import destination
from preprocess.manifest import REJECTED, Document
from preprocess.sources import open_source
from preprocess.work import Work, annotate, describe, place_of, settings_of, write_missing
from preprocess.workers.local import WorkerPool
from system.files import json_text
from system.objects import Url


def repair(folder: Path | Url, manifest: Document, damaged: Collection[str], workers: int) -> None:
    """Write the documents and the damaged files again. A shard that would get other bytes stays as it is.

    Raises click.UsageError where photos or lists are not those of which the shards were made.
    """
    stage = destination(folder)
    for name, document in manifests.documents(manifest).items():
        stage.write(folder, name, json_text(document))
    before = {shard.name: shard for shard in manifests.shards(manifest)}
    is_list_damaged = REJECTED in damaged
    if not is_list_damaged and before.keys().isdisjoint(damaged):
        return
    settings, places = settings_of(manifest), [place_of(path) for path in manifest["source"]["paths"]]
    paths = [path for path in (*places, settings.attributes, settings.partitions) if isinstance(path, Path)]
    if gone := [path for path in paths if not path.exists()]:
        raise _refusal(folder, [f"{path} is gone" for path in gone])
    source = open_source(places)
    listing = source.list(settings.ids)
    if differing := manifests.differences(manifest, describe(source, listing, settings)):
        raise _refusal(folder, differing)
    annotated = annotate(listing, settings)
    with stage.repairing(folder, crop.versions()) as repaired:
        work = Work(annotated, source, settings, repaired)
        # Which photos were rejected shows only when they are read again: those of the shards that have fewer than
        # planned.
        again = [
            spec
            for spec, ids in work.planned.items()
            if spec.name in before
            and (spec.name in damaged or (is_list_damaged and before[spec.name].count != len(ids)))
        ]
        with WorkerPool(min(workers, len(again))) as pool:
            made = write_missing(work, again, pool)
        if is_list_damaged:
            rejected = [*annotated.rejected, *(rejection for shard in made for rejection in shard.rejected)]
            stage.write(folder, REJECTED, manifests.rejected_lines(rejected))
        same = [shard.name for shard in made if shard.sha256 == before[shard.name].sha256]
        stage.restore(folder, repaired, [name for name in same if name in damaged])
    for shard in made:
        if shard.name not in same:
            click.echo(
                f"{shard.name}: made again it has other bytes, so it was left as it is. "
                f"It was made with {_listed(manifest['versions'])}; this is {_listed(crop.versions())}."
            )


def _refusal(folder: Path | Url, differing: list[str]) -> click.UsageError:
    return click.UsageError(
        f"What the shards in {folder} were made of is not as it was (old -> new):{manifests.in_lines(differing)}\n"
        "No shard was touched. Bring it back, or make all shards again: python -m preprocess.run --overwrite."
    )


def _listed(versions: Document) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
