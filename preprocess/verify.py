"""Check a folder of shards against its manifest, and repair it: python -m preprocess.verify."""

from collections import Counter
from contextlib import nullcontext
from functools import partial
from hashlib import file_digest
from io import SEEK_END, BytesIO
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from preprocess import manifest as manifests
from preprocess.command import Command
from preprocess.destination import destination
from preprocess.manifest import REJECTED, Document
from preprocess.options import workers_option
from preprocess.repair import repair as repair_shards
from preprocess.shard import Shard
from preprocess.tfrecord import first_damage
from preprocess.work import settings_of
from preprocess.workers.local import WorkerPool
from system.command import Place
from system.files import parsed_json
from system.objects import Url


@click.command(cls=Command)
@click.argument("folder", type=Place(exists=True, file_okay=False))
@workers_option
@click.option(
    "--repair",
    is_flag=True,
    help="Write damaged and missing shards again, byte for byte, from the photos and lists that the manifest names, "
    "and the other files of the folder.",
)
def main(folder: Path | Url, workers: int, repair: bool) -> None:
    """Check the size and SHA-256 of every shard in FOLDER, or below the URL of a prefix, against its manifest.

    The other files are checked, too.

    Of a damaged shard the first damaged record is named: its index, from 0, and its byte offset. Only --repair changes
    anything.
    """
    began = perf_counter()
    if repair and isinstance(folder, Url) and not folder.can_write:
        raise click.UsageError(f"{folder} can only be read. Copy it to a disk or a bucket to repair it.")
    stage = destination(folder)
    with stage.locked(folder) if repair else nullcontext():
        manifest = stage.finished(folder)
        if manifest is None:
            raise click.UsageError(
                f"{folder} has no manifest.json written by preprocess.run to check the files against. "
                "If a run was interrupted there, the same command of python -m preprocess.run finishes it."
            )
        faults = verify(folder, manifest, workers)
        if repair and faults:
            repair_shards(folder, manifest, faults, workers)
            began = perf_counter()
            faults = verify(folder, manifest, workers)
    if faults:
        raise click.ClickException(
            f"{folder} is not as its manifest says. "
            + ("This could not be repaired." if repair else "--repair makes damaged and missing shards again.")
        )
    seconds = perf_counter() - began
    records = sum(manifests.counts(manifest).values())
    click.echo(
        f"{len(manifest['shards'])} shards, {records:,} records: all as the manifest says; "
        f"{seconds:.1f} s, {records / seconds:,.0f} records/s."
    )


def verify(folder: Path | Url, manifest: Document, workers: int) -> dict[str, str]:
    """Return what is wrong with each file that differs from the manifest, and print it."""
    stage = destination(folder)
    shards, documents = described(folder, manifest)
    faults = check_shards(folder, shards, workers)
    names = {shard.name for shard in shards}
    for name in stage.sizes(folder):
        if name not in names:
            faults[name] = "is not in the manifest: move it away, as training refuses it"
    differing = [name for name, document in documents.items() if _json(folder, name) != document]
    if count_reasons(folder) != manifest.get("rejected"):
        differing.append(REJECTED)
    faults |= dict.fromkeys(differing, "is missing, or differs from the manifest")
    for name, fault in faults.items():
        click.echo(f"{name}: {fault}")
    return faults


def described(folder: Path | Url, manifest: Document) -> tuple[list[Shard], dict[str, Document]]:
    """Return the shards and the other documents that a manifest describes.

    Raises click.ClickException where the manifest itself is damaged.
    """
    try:
        settings_of(manifest)  # --repair needs them
        return manifests.shards(manifest), manifests.documents(manifest)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise click.ClickException(
            f"{folder / 'manifest.json'} is damaged. Bring it back, or make the shards again with --overwrite."
        ) from None


def check_shards(folder: Path | Url, shards: list[Shard], workers: int) -> dict[str, str]:
    """Return what is wrong with each shard that is not as made, in the order of the manifest."""
    from tqdm import tqdm  # 0.1 s that the workers, who import this module too, need not spend

    faults = {}
    with (
        WorkerPool(min(workers, len(shards))) as pool,
        tqdm(total=sum(shard.count for shard in shards), unit=" records", disable=None) as bar,
    ):
        for shard, fault in pool.completed(partial(check_shard, folder), shards):
            faults[shard.name] = fault
            bar.update(shard.count)
    return {shard.name: faults[shard.name] for shard in shards if faults[shard.name]}


def check_shard(folder: Path | Url, shard: Shard) -> str:
    """Return what is wrong with a shard and which of its records is damaged first; "" where nothing is."""
    try:
        file = destination(folder).opened(folder, shard.name)
        if file is None:
            return "is missing"
        with file:
            digest = file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            size = file.seek(0, SEEK_END)
            if (size, digest) == (shard.bytes, shard.sha256):
                return ""
            file.seek(0)
            damage = first_damage(file)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    fault = "has another SHA-256 than the manifest says"
    if size != shard.bytes:
        fault = f"has {size:,} bytes; the manifest says {shard.bytes:,}"
    return f"{fault}; {damage}" if damage else fault


def count_reasons(folder: Path | Url) -> Counter[str] | None:
    """Return how often each reason occurs in rejected.jsonl, or None where it cannot be read."""
    try:
        with destination(folder).opened(folder, REJECTED) or BytesIO(b"none") as file:
            return Counter(parsed_json(line)["reason"] for line in file)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _json(folder: Path | Url, name: str) -> Any:
    try:
        with destination(folder).opened(folder, name) or BytesIO() as file:
            return parsed_json(file.read())
    except ValueError:
        return None


if __name__ == "__main__":
    main()
