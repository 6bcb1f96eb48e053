"""Check a folder of shards against its manifest, and repair it: python -m preprocess.verify."""

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from math import prod
from pathlib import Path
from time import perf_counter
from typing import BinaryIO, NamedTuple

import click

from preprocess import manifest as manifests
from preprocess import staging
from preprocess.command import Command
from preprocess.manifest import Document
from preprocess.options import workers_option
from preprocess.repair import repair as repair_shards
from preprocess.shard import Shard
from preprocess.tfrecord import Record, parse_example, read_records
from preprocess.work import settings_of
from preprocess.workers.local import WorkerPool
from system.command import LocalPath
from system.files import read_json, sha256_of
from system.lock import locked

_MAX_LISTED = 20  # findings per file that are listed; the rest is counted


@dataclass(frozen=True)
class Expected:
    """A shard as the manifest describes it, and the sizes of its records."""

    folder: Path
    shard: Shard
    image_bytes: int
    attribute_count: int | None

    def __str__(self) -> str:
        return self.shard.name


class CheckedShard(NamedTuple):
    """A shard as it is: whether its bytes are those of the manifest, its faults, and where each id is."""

    is_as_made: bool
    faults: list[str]
    ids: list[tuple[str, int, int]]  # id, number of the record, offset of the record


class Report(NamedTuple):
    """All that is wrong in a folder, as (file, what), and the shards that have to be made again."""

    findings: list[tuple[str, str]]
    damaged: list[str]


@click.command(cls=Command)
@click.argument("folder", type=LocalPath(exists=True, file_okay=False, path_type=Path))
@workers_option
@click.option(
    "--repair",
    is_flag=True,
    help="Write damaged and missing shards again, byte for byte, from the photos and lists that the manifest names, "
    "and the other files of the folder.",
)
def main(folder: Path, workers: int, repair: bool) -> None:
    """Check every file, byte and record in a FOLDER of shards against its manifest.

    Damage is reported by file, index of the record (from 0) and byte offset. Only --repair changes anything.
    """
    began = perf_counter()
    with locked(folder) if repair else nullcontext():
        manifest = staging.finished(folder)
        if manifest is None:
            raise click.UsageError(
                f"{folder} has no manifest.json written by preprocess.run to check the files against. "
                "If a run was interrupted there, the same command of python -m preprocess.run finishes it."
            )
        report = verify(folder, manifest, workers)
        if repair and report.findings:
            repair_shards(folder, manifest, report.damaged, workers)
            began = perf_counter()
            report = verify(folder, manifest, workers)
    if report.findings:
        raise click.ClickException(
            f"{folder} is not as its manifest says. "
            + ("This could not be repaired." if repair else "--repair makes damaged and missing shards again.")
        )
    seconds = perf_counter() - began
    total = sum(shard.count for shard in manifests.shards(manifest))
    click.echo(
        f"{len(manifest['shards'])} shards, {total:,} records: all as the manifest says; "
        f"{seconds:.1f} s, {total / seconds:,.0f} records/s."
    )


def verify(folder: Path, manifest: Document, workers: int) -> Report:
    """Check every file that the manifest describes, and print what is wrong."""
    shards, documents = expectations(folder, manifest)
    found = check_shards(shards, workers)
    findings = [(name, fault) for name, it in found.items() for fault in it.faults]
    findings += repeated_ids(found)
    findings += [
        (path.name, "is not in the manifest: move it away, or it will be trained on")
        for path in sorted(folder.glob("*.tfrecord"))
        if path.name not in found
    ]
    findings += [
        (name, "is missing, or differs from the manifest") for name in differing_documents(folder, documents, manifest)
    ]
    for line in report_lines(findings):
        click.echo(line)
    return Report(findings, [name for name, it in found.items() if not it.is_as_made])


def expectations(folder: Path, manifest: Document) -> tuple[list[Expected], dict[str, Document]]:
    """Return what the manifest says of each shard, and the other documents that follow from it.

    Raises click.ClickException where the manifest is damaged itself.
    """
    try:
        settings_of(manifest)  # --repair needs them
        names = manifest["attribute_names"]
        image_bytes, attribute_count = prod(map(int, manifest["image"]["shape"])), None if names is None else len(names)
        shards = [Expected(folder, shard, image_bytes, attribute_count) for shard in manifests.shards(manifest)]
        return shards, manifests.documents(manifest)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise click.ClickException(
            f"{folder / 'manifest.json'} is damaged. Bring it back, or make the shards again with --overwrite."
        ) from None


def check_shards(shards: list[Expected], workers: int) -> dict[str, CheckedShard]:
    """Check the shards, several at a time; return the results in the order of the manifest."""
    from tqdm import tqdm  # 0.1 s that the workers, who import this module too, need not spend

    found: dict[str, CheckedShard] = {}
    with (
        WorkerPool(min(workers, len(shards))) as pool,
        tqdm(total=sum(it.shard.count for it in shards), unit=" records", disable=None) as bar,
    ):
        for it, result in pool.completed(check_shard, shards):
            found[it.shard.name] = result
            bar.update(it.shard.count)
    return {it.shard.name: found[it.shard.name] for it in shards}


def check_shard(expected: Expected) -> CheckedShard:
    """Check one shard, to its end."""
    path = expected.folder / expected.shard.name
    if not path.is_file():
        return CheckedShard(False, ["is missing"], [])
    try:
        differing = _differing(path, expected.shard)
        with path.open("rb", buffering=1 << 20) as file:
            faults, ids = _contents(file, expected)
    except OSError as error:
        return CheckedShard(False, [f"cannot be read: {error.strerror}"], [])
    return CheckedShard(not differing, differing + faults, ids)


def repeated_ids(found: dict[str, CheckedShard]) -> Iterator[tuple[str, str]]:
    """Yield a finding for each record that repeats the photo of an earlier one."""
    first: dict[str, tuple[str, int]] = {}
    for name, it in found.items():
        for photo_id, number, offset in it.ids:
            before = first.setdefault(photo_id, (name, number))
            if before != (name, number):
                yield name, _at(number, offset, f"{photo_id!r} is in record {before[1]} of {before[0]} too")


def differing_documents(folder: Path, documents: dict[str, Document], manifest: Document) -> Iterator[str]:
    """Yield the name of each document in `folder` that differs from the manifest."""
    for name, document in documents.items():
        if read_json(folder / name) != document:
            yield name
    if staging.count_reasons(folder) != manifest.get("rejected"):
        yield manifests.REJECTED


def report_lines(findings: list[tuple[str, str]]) -> Iterator[str]:
    """Yield a line for each finding, up to `_MAX_LISTED` for one file."""
    told = Counter[str]()
    for file, what in findings:
        told[file] += 1
        if told[file] <= _MAX_LISTED:
            yield f"{file}: {what}"
    for file, count in told.items():
        if count > _MAX_LISTED:
            yield f"{file}: {count - _MAX_LISTED:,} more findings"


def _differing(path: Path, shard: Shard) -> list[str]:
    size = path.stat().st_size
    if size != shard.bytes:
        return [f"has {size:,} bytes; the manifest says {shard.bytes:,}"]
    return [] if sha256_of(path) == shard.sha256 else ["has another SHA-256 than the manifest says"]


def _contents(file: BinaryIO, expected: Expected) -> tuple[list[str], list[tuple[str, int, int]]]:
    """Return what is wrong with the records, and where each photo id stands."""
    faults, ids = [], []
    for number, record in enumerate(read_records(file)):
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
    _, photo_id, _ = parse_example(record.data, expected.image_bytes, expected.attribute_count)
    if not photo_id:
        raise ValueError("its image_id is empty")
    return photo_id


def _at(number: int, offset: int, what: str) -> str:
    return f"record {number} at byte {offset}: {what}"


if __name__ == "__main__":
    main()
