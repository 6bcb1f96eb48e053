"""The command line that finds damage and mends it: python -m preprocess.verify."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from math import prod
from pathlib import Path
from time import perf_counter
from typing import BinaryIO, NamedTuple

import click

from preprocess import crop, staging
from preprocess import manifest as dataset
from preprocess.command import failing_in_words, stopping_in_words, workers_option
from preprocess.files import read_json, sha256_of, write_json, write_text
from preprocess.lock import held
from preprocess.manifest import Document
from preprocess.shard import Shard
from preprocess.sources import open_source
from preprocess.tfrecord import Record, parse, records
from preprocess.work import Work, annotate, describe, make_missing, settings_of
from preprocess.workers.local import Crew

_REJECTED = "rejected.jsonl"
_LISTED = 20  # findings a file that are told in full; the rest is counted


@dataclass(frozen=True)
class Expected:
    """A shard as the manifest has it, and what each of its records holds."""

    folder: Path
    shard: Shard
    image_bytes: int
    attribute_count: int | None

    def __str__(self) -> str:
        return self.shard.name


class Found(NamedTuple):
    """A shard as it is: whether its bytes are those of the manifest, what is wrong with it, where each id stands."""

    is_as_made: bool
    faults: list[str]
    ids: list[tuple[str, int, int]]  # id, number of the record, offset of the record


class Verdict(NamedTuple):
    """All that is wrong in a folder, as (file, what), and the shards that have to be made again."""

    findings: list[tuple[str, str]]
    damaged: list[str]


@click.command(context_settings={"max_content_width": 120, "show_default": True})
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@workers_option
@click.option(
    "--repair",
    is_flag=True,
    help="Make damaged and missing shards again, to the same bytes, from the photos and lists that the manifest names; "
    "write the documents beside them again.",
)
def main(folder: Path, workers: int, repair: bool) -> None:
    """Hold a FOLDER of shards against its manifest: every file, every byte, every record.

    Damage is named by file, number of the record (the first is 0) and byte offset. Only --repair changes anything.
    """
    began = perf_counter()
    with stopping_in_words(), failing_in_words(), held(folder) if repair else nullcontext():
        manifest = staging.finished(folder)
        if manifest is None:
            raise click.UsageError(
                f"{folder} has no manifest.json of this program to hold its files against. "
                "If a run was cut short there, the same command of python -m preprocess.run finishes it."
            )
        verdict = verify(folder, manifest, workers)
        if repair and verdict.findings:
            mend(folder, manifest, verdict.damaged, workers)
            began = perf_counter()
            verdict = verify(folder, manifest, workers)
    if verdict.findings:
        raise click.ClickException(
            f"{folder} is not as its manifest says. "
            + ("This could not be mended." if repair else "--repair makes damaged and missing shards again.")
        )
    seconds = perf_counter() - began
    total = sum(shard.count for shard in dataset.shards(manifest))
    click.echo(
        f"{len(manifest['shards'])} shards, {total:,} records: all as the manifest says; "
        f"{seconds:.1f} s, {total / seconds:,.0f} records/s."
    )


def verify(folder: Path, manifest: Document, workers: int) -> Verdict:
    """Look at every file that the manifest is about, and say what is wrong."""
    shards, belonging = expectations(folder, manifest)
    found = look_at_all(shards, workers)
    findings = [(name, fault) for name, it in found.items() for fault in it.faults]
    findings += repeated_ids(found)
    findings += [
        (path.name, "is not in the manifest: move it away, or it will be trained on")
        for path in sorted(folder.glob("*.tfrecord"))
        if path.name not in found
    ]
    findings += [
        (name, "is missing, or does not say what the manifest says") for name in unlike(folder, belonging, manifest)
    ]
    for line in listed(findings):
        click.echo(line)
    return Verdict(findings, [name for name, it in found.items() if not it.is_as_made])


def expectations(folder: Path, manifest: Document) -> tuple[list[Expected], dict[str, Document]]:
    """Return what the manifest says of each shard, and what belongs into the other documents.

    Raises click.ClickException where the manifest is damaged itself.
    """
    try:
        names = manifest["attribute_names"]
        image_bytes, attribute_count = prod(map(int, manifest["image"]["shape"])), None if names is None else len(names)
        shards = [Expected(folder, shard, image_bytes, attribute_count) for shard in dataset.shards(manifest)]
        return shards, documents(manifest)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise click.ClickException(
            f"{folder / 'manifest.json'} is damaged. Bring it back, or make the shards anew with --overwrite."
        ) from None


def look_at_all(shards: list[Expected], workers: int) -> dict[str, Found]:
    """Look at each shard, several at once; return what was found in the order of the manifest."""
    from tqdm import tqdm  # 0.1 s that the workers, who import this module too, need not spend

    found: dict[str, Found] = {}
    with (
        Crew(min(workers, len(shards))) as crew,
        tqdm(total=sum(it.shard.count for it in shards), unit=" records", disable=None) as bar,
    ):
        for it, result in crew.completed(look, shards):
            found[it.shard.name] = result
            bar.update(it.shard.count)
    return {it.shard.name: found[it.shard.name] for it in shards}


def look(expected: Expected) -> Found:
    """Read one shard to its end."""
    path = expected.folder / expected.shard.name
    if not path.is_file():
        return Found(False, ["is missing"], [])
    try:
        differing = _differing(path, expected.shard)
        with path.open("rb", buffering=1 << 20) as file:
            faults, ids = _contents(file, expected)
    except OSError as error:
        return Found(False, [f"cannot be read: {error.strerror}"], [])
    return Found(not differing, differing + faults, ids)


def repeated_ids(found: dict[str, Found]) -> Iterator[tuple[str, str]]:
    """Yield a finding for each record whose photo an earlier record has."""
    first: dict[str, tuple[str, int]] = {}
    for name, it in found.items():
        for photo_id, number, offset in it.ids:
            before = first.setdefault(photo_id, (name, number))
            if before != (name, number):
                yield name, _at(number, offset, f"{photo_id!r} is in record {before[1]} of {before[0]} too")


def unlike(folder: Path, belonging: dict[str, Document], manifest: Document) -> Iterator[str]:
    """Yield the name of each document in `folder` that does not agree with the manifest."""
    for name, document in belonging.items():
        if read_json(folder / name) != document:
            yield name
    if reasons_in(folder / _REJECTED) != manifest.get("rejected"):
        yield _REJECTED


def reasons_in(path: Path) -> Counter[str] | None:
    """Return how often each reason stands in a rejected.jsonl, or None where it cannot be read."""
    try:
        return Counter(json.loads(line)["reason"] for line in path.read_bytes().splitlines())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def documents(manifest: Document) -> dict[str, Document]:
    """Return the JSON documents that follow from a manifest."""
    names = manifest["attribute_names"]
    return {
        "features.json": dataset.features(None if names is None else len(names)),
        "dataset_info.json": dataset.dataset_info(settings_of(manifest).crop, dataset.shards(manifest)),
    }


def listed(findings: list[tuple[str, str]]) -> Iterator[str]:
    """Yield a line a finding, not more than a screen of them for one file."""
    told = Counter[str]()
    for file, what in findings:
        told[file] += 1
        if told[file] <= _LISTED:
            yield f"{file}: {what}"
    for file, count in told.items():
        if count > _LISTED:
            yield f"{file}: {count - _LISTED:,} findings more"


def mend(folder: Path, manifest: Document, damaged: list[str], workers: int) -> None:
    """Write the documents again, and make the damaged shards again. A shard that would be another one stays as it is.

    Raises click.UsageError where photos or lists are not those of which the shards were made.
    """
    for name, document in documents(manifest).items():
        write_json(folder / name, document)
    is_list_whole = reasons_in(folder / _REJECTED) == manifest.get("rejected")
    if not damaged and is_list_whole:
        return
    settings, places = settings_of(manifest), [Path(path) for path in manifest["source"]["paths"]]
    if gone := [path for path in (*places, settings.attributes, settings.partitions) if path and not path.exists()]:
        raise _refusal(folder, [f"{path} is gone" for path in gone])
    source = open_source(places)
    listing = source.list()
    if differing := dataset.differences(manifest, describe(source, listing, settings)):
        raise _refusal(folder, differing)
    annotated = annotate(listing, settings)
    work = Work(annotated, source, settings, staging.repair_folder(folder, crop.versions()))
    counts = {shard.name: shard.count for shard in dataset.shards(manifest)}
    # Which photos were rejected shows only when they are read again: those of the shards that have fewer than planned.
    short = [] if is_list_whole else [spec for spec, ids in work.planned.items() if counts.get(spec.name) != len(ids)]
    again = [spec for spec in work.planned if spec.name in damaged or spec in short]
    with Crew(min(workers, len(again))) as crew:
        made = make_missing(work, again, crew)
    if not is_list_whole:
        rejected = [*annotated.rejected, *(rejection for shard in made for rejection in shard.rejected)]
        write_text(folder / _REJECTED, dataset.rejected_lines(rejected))
    as_before = {(shard.name, shard.sha256) for shard in dataset.shards(manifest)}
    same = [shard.name for shard in made if (shard.name, shard.sha256) in as_before]
    staging.restore(folder, [name for name in same if name in damaged])
    for shard in made:
        if shard.name not in same:
            click.echo(
                f"{shard.name}: made again it has other bytes, so it was left as it is. "
                f"It was made with {_words(manifest['versions'])}; this is {_words(crop.versions())}."
            )


def _refusal(folder: Path, differing: list[str]) -> click.UsageError:
    lines = "".join(f"\n  {line}" for line in differing)
    return click.UsageError(
        f"What the shards in {folder} were made of is not as it was (old -> new):{lines}\n"
        "No shard was touched. Bring it back, or make all shards anew: python -m preprocess.run --overwrite."
    )


def _words(versions: Document) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _differing(path: Path, shard: Shard) -> list[str]:
    size = path.stat().st_size
    if size != shard.bytes:
        return [f"has {size:,} bytes; the manifest says {shard.bytes:,}"]
    return [] if sha256_of(path) == shard.sha256 else ["has another SHA-256 than the manifest says"]


def _contents(file: BinaryIO, expected: Expected) -> tuple[list[str], list[tuple[str, int, int]]]:
    """Return what is wrong with the records, and where each photo id stands."""
    faults, ids = [], []
    for number, record in enumerate(records(file)):
        if number == expected.shard.count:  # enough: memory is not for a file to claim
            faults.append(_at(number, record.offset, "the manifest says that there is none"))
            break
        try:
            ids.append((_photo_id(record, expected), number, record.offset))
        except ValueError as fault:
            faults.append(_at(number, record.offset, str(fault)))
    if len(ids) < expected.shard.count:
        faults.append(f"has {len(ids):,} whole records; the manifest says {expected.shard.count:,}")
    return faults, ids


def _photo_id(record: Record, expected: Expected) -> str:
    """Return the id in a record. Raises ValueError where something is wrong with it."""
    if record.fault:
        raise ValueError(record.fault)
    image, photo_id, attributes = parse(record.data)
    if len(image) != expected.image_bytes:
        raise ValueError(f"its image has {len(image):,} bytes; the manifest says {expected.image_bytes:,}")
    attribute_count = None if attributes is None else len(attributes)
    if attribute_count != expected.attribute_count:
        raise ValueError(f"it has {attribute_count or 0} attributes; the manifest says {expected.attribute_count or 0}")
    if not photo_id:
        raise ValueError("its image_id is empty")
    return photo_id


def _at(number: int, offset: int, what: str) -> str:
    return f"record {number} at byte {offset}: {what}"


if __name__ == "__main__":
    main()
