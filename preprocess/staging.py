"""From unfinished shards to a published folder, in steps that can be repeated after a kill at any moment.

OUT/.unfinished/ holds the recipe (settings.json), the shards written so far, and a description of each. When all are
there the documents follow, manifest.json last: from then on the new shards are complete, and this run or the next one
only has to publish them into OUT.

Where they are made in parts, several runs write shards into OUT/.unfinished/ at the same time. All of them hold the
lock of OUT while they begin and while they publish, none of them in between.
"""

import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from errno import ENOENT, ENOTEMPTY
from pathlib import Path
from typing import BinaryIO

import click

from preprocess import manifest as manifests
from preprocess.manifest import DOCUMENTS, MANIFEST, RECIPE, REJECTED, UNFINISHED, Document, differences, is_manifest
from preprocess.shard import Folder
from system.files import PARTIAL, read_json, sync_folder, write_json, write_text
from system.lock import locked as locked  # one of the steps of destination.py

# Not ._train-00000-of-00040.tfrecord, as Macs write beside files on disks of other systems.
_SHARDS = "[!.]*.tfrecord"
_REPLACED = "replaced.json"  # in UNFINISHED: the manifest of the shards that the new ones replace
_REPAIRED = "repaired"  # in UNFINISHED: shards written again by a repair
_IN_PARTS = "in-parts"  # in UNFINISHED: a file that says that runs may be writing there without the lock of OUT
_VERSIONS = "versions.json"  # in _REPAIRED: the versions that they were written with


def is_begun(out: Path) -> bool:
    """Return whether `out` holds the work of an unfinished run."""
    return (out / UNFINISHED).exists()


def finished(out: Path) -> Document | None:
    """Return the manifest of the shards in `out`, or None where there are none of ours."""
    return _manifest(out / MANIFEST)


def check_ours(out: Path) -> None:
    """Raise click.UsageError where `out` holds data that this program did not make."""
    if finished(out) is None and ((out / MANIFEST).exists() or any(out.glob(f"{_SHARDS}*"))):
        raise manifests.not_ours(out)


def begin(out: Path, recipe: Document, versions: Document, overwrite: bool, in_parts: bool = False) -> Folder:
    """Return the folder to write shards into; what an earlier run with this recipe and these versions left is kept.

    `versions` are those of the libraries that decide the pixels. From the first run `in_parts` on, others may be
    writing there: nothing of theirs is removed.
    Raises click.UsageError, and changes nothing, where `out` holds shards that are not ours; shards or unfinished
    shards of another recipe or of other versions and `overwrite` is not given; or such shards that are made in parts.
    """
    check_ours(out)
    manifest = finished(out)
    if manifest is not None and not overwrite:
        raise _refusal(out, "shards", differences(manifest, recipe))
    staged, made_of = out / UNFINISHED, recipe | {"versions": versions}
    shared = staged / _IN_PARTS
    begun = read_json(staged / RECIPE)
    if begun is not None and (differing := differences(begun, made_of)):
        if shared.exists():
            raise _refusal_of_parts(out, differing)
        if not overwrite and _has_records(staged):
            raise _refusal(out, "unfinished shards", differing)
        begun = None
    if begun is None:
        clear(out)
        staged.mkdir(parents=True)
        write_json(staged / RECIPE, made_of)
    if in_parts:
        shared.touch()
    for partial in staged.glob(PARTIAL) if not shared.exists() else ():
        partial.unlink(missing_ok=True)
    return Folder(staged.absolute())


def complete(out: Path, rejected: str, documents: Mapping[str, Document], manifest: Document) -> None:
    """Write the documents beside the finished shards, the manifest last. `publish` comes next."""
    staged = out / UNFINISHED
    write_text(staged / REJECTED, rejected)
    for name, document in documents.items():
        write_json(staged / name, document)
    write_json(staged / MANIFEST, manifest)


def publish(out: Path) -> None:
    """Move complete shards, if there are any, from the staging folder to `out`, in place of older ones.

    Whenever this is cut short, `out` has no manifest or one whose shards are all there, and calling it again goes on.
    """
    staged = out / UNFINISHED
    new = _manifest(staged / MANIFEST)
    if new is None:
        return
    if (out / MANIFEST).exists():
        (out / MANIFEST).replace(staged / _REPLACED)
        sync_folder(out)
    names = [shard["name"] for shard in new["shards"]]
    replaced = _manifest(staged / _REPLACED)
    for old in {shard["name"] for shard in replaced["shards"]} - set(names) if replaced else ():
        (out / old).unlink(missing_ok=True)
    for name in [*names, REJECTED, *DOCUMENTS]:
        if (staged / name).exists():
            (staged / name).replace(out / name)
    sync_folder(out)
    (staged / MANIFEST).replace(out / MANIFEST)
    sync_folder(out)
    clear(out)


def clear(out: Path) -> None:
    """Remove what is unfinished in `out`, while another run may be making the same part once more."""
    while is_begun(out):
        try:
            shutil.rmtree(out / UNFINISHED)
        except OSError as error:
            if error.errno not in (ENOENT, ENOTEMPTY):
                raise


@contextmanager
def repairing(out: Path, versions: Document) -> Iterator[Folder]:
    """Yield the folder to write shards again into; what an interrupted repair with these versions left is kept.

    It is removed in the end, unless the block raises.
    """
    folder = out / UNFINISHED / _REPAIRED
    if read_json(folder / _VERSIONS) not in (None, versions):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _VERSIONS, versions)
    yield Folder(folder)
    shutil.rmtree(folder)
    with suppress(OSError):  # an unfinished run stays
        folder.parent.rmdir()


def restore(out: Path, repaired: Folder, names: Iterable[str]) -> None:
    """Replace these shards in `out` by those that were written again."""
    for name in names:
        (repaired.path / name).replace(out / name)
    sync_folder(out)


def sizes(out: Path) -> dict[str, int]:
    """Return the size in bytes of each shard in `out`, by its name; also of those that its manifest does not list.

    It is 0 where what has the name is no file, such as a link to one that is gone.
    """
    return {path.name: path.stat().st_size if path.is_file() else 0 for path in sorted(out.glob(_SHARDS))}


def opened(out: Path, name: str) -> BinaryIO | None:
    """Open a file of `out`, or return None where it is missing. Raises OSError where it cannot be read."""
    path = out / name
    return path.open("rb", buffering=1 << 20) if path.is_file() else None


def write(out: Path, name: str, text: str) -> None:
    """Replace a file of `out` by a text."""
    write_text(out / name, text)


def _manifest(path: Path) -> Document | None:
    document = read_json(path)
    return document if is_manifest(document) else None


def _has_records(staged: Path) -> bool:
    """Return whether an interrupted run has written a shard with at least one photo."""
    records = (read_json(path.with_suffix(".json")) for path in staged.glob("*.tfrecord"))
    return any(record and record.get("count") for record in records)


def _refusal(out: Path, shards: str, differing: list[str]) -> click.UsageError:
    if not differing:
        return click.UsageError(
            f"Some shards in {out} are missing or cut short. Nothing was changed. "
            f"python -m preprocess.verify {shlex.quote(str(out))} --repair writes those again, --overwrite all."
        )
    return click.UsageError(
        f"{out} holds {shards} of other settings or versions (old -> new):{manifests.in_lines(differing)}\n"
        "Nothing was changed. --overwrite writes them again; the old ones are kept until the new ones are complete. "
        "Or choose another --out, or go back to the old settings and versions."
    )


def _refusal_of_parts(out: Path, differing: list[str]) -> click.UsageError:
    return click.UsageError(
        f"In {out} runs with --part make shards of other settings or versions (theirs -> yours):"
        f"{manifests.in_lines(differing)}\n"
        "Nothing was changed. Choose another --out, or take their settings and versions. If none of those runs is "
        f"going on any more, on any machine, remove {out / UNFINISHED} and give the same command again."
    )
