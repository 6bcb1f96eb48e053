"""From unfinished shards to a published folder, in steps that can be repeated after a kill at any moment.

OUT/.unfinished/ holds the recipe (settings.json), the shards written so far, and a description of each. When all are
there the documents follow, manifest.json last: from then on the new shards are complete, and this run or the next one
only has to publish them into OUT.

Where they are made in parts, several runs write shards into OUT/.unfinished/ at the same time. All of them hold the
lock of OUT while they begin and while they publish, none of them in between.
"""

import json
import shlex
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from errno import ENOENT, ENOTEMPTY
from pathlib import Path

import click

from preprocess.manifest import DOCUMENTS, REJECTED, Document, differences
from system.files import PARTIAL, read_json, sync_folder, write_json, write_text

_FOLDER = ".unfinished"
_RECIPE = "settings.json"
_MANIFEST = "manifest.json"
_REPLACED = "replaced.json"  # in _FOLDER: the manifest of the shards that the new ones replace
_REPAIRED = "repaired"  # in _FOLDER: shards written again by a repair
_IN_PARTS = "in-parts"  # in _FOLDER: a file that says that runs may be writing there without the lock of OUT
_VERSIONS = "versions.json"  # in _REPAIRED: the versions that they were written with


def up_to_date(out: Path, recipe: Document) -> Document | None:
    """Return the manifest of `out` where it holds the shards of this recipe, each in its full size, else None."""
    manifest = finished(out)
    is_same = manifest is not None and not differences(manifest, recipe) and _is_whole(out, manifest)
    return manifest if is_same else None


def is_begun(out: Path) -> bool:
    """Return whether `out` holds the work of an unfinished run."""
    return (out / _FOLDER).exists()


def finished(out: Path) -> Document | None:
    """Return the manifest of the shards in `out`, or None where there are none of ours."""
    return _manifest(out / _MANIFEST)


def check_ours(out: Path) -> None:
    """Raise click.UsageError where `out` holds data that this program did not make."""
    if finished(out) is None and ((out / _MANIFEST).exists() or any(out.glob("*.tfrecord*"))):
        raise click.UsageError(
            f"{out} holds data that this program did not make, and stays as it is: choose another --out."
        )


def begin(out: Path, recipe: Document, versions: Document, overwrite: bool, in_parts: bool = False) -> Path:
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
    staged, made_of = out / _FOLDER, recipe | {"versions": versions}
    shared = staged / _IN_PARTS
    begun = read_json(staged / _RECIPE)
    if begun is not None:
        differing = differences(begun, made_of)
        if not differing:
            if in_parts:
                shared.touch()
            for partial in staged.glob(PARTIAL) if not shared.exists() else ():
                partial.unlink(missing_ok=True)
            return staged
        if shared.exists():
            raise _refusal_of_parts(out, differing)
        if not overwrite and _has_records(staged):
            raise _refusal(out, "unfinished shards", differing)
    clear(out)
    staged.mkdir(parents=True)
    write_json(staged / _RECIPE, made_of)
    if in_parts:
        shared.touch()
    return staged


def complete(out: Path, rejected: str, documents: Mapping[str, Document], manifest: Document) -> None:
    """Write the documents beside the finished shards, the manifest last. `publish` comes next."""
    staged = out / _FOLDER
    write_text(staged / REJECTED, rejected)
    for name, document in documents.items():
        write_json(staged / name, document)
    write_json(staged / _MANIFEST, manifest)


def publish(out: Path) -> None:
    """Move complete shards, if there are any, from the staging folder to `out`, in place of older ones.

    Whenever this is cut short, `out` has no manifest or one whose shards are all there, and calling it again goes on.
    """
    staged = out / _FOLDER
    new = _manifest(staged / _MANIFEST)
    if new is None:
        return
    if (out / _MANIFEST).exists():
        (out / _MANIFEST).replace(staged / _REPLACED)
        sync_folder(out)
    names = [shard["name"] for shard in new["shards"]]
    replaced = _manifest(staged / _REPLACED)
    for old in {shard["name"] for shard in replaced["shards"]} - set(names) if replaced else ():
        (out / old).unlink(missing_ok=True)
    for name in [*names, REJECTED, *DOCUMENTS]:
        if (staged / name).exists():
            (staged / name).replace(out / name)
    sync_folder(out)
    (staged / _MANIFEST).replace(out / _MANIFEST)
    sync_folder(out)
    clear(out)


def clear(out: Path) -> None:
    """Remove what is unfinished in `out`, while another run may be making the same part once more."""
    while is_begun(out):
        try:
            shutil.rmtree(out / _FOLDER)
        except OSError as error:
            if error.errno not in (ENOENT, ENOTEMPTY):
                raise


def repair_folder(out: Path, versions: Document) -> Path:
    """Return the folder to write shards again into; what an interrupted repair with these versions left is kept."""
    folder = out / _FOLDER / _REPAIRED
    if read_json(folder / _VERSIONS) not in (None, versions):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _VERSIONS, versions)
    return folder


def restore(out: Path, names: Iterable[str]) -> None:
    """Replace these shards in `out` by those that were written again; remove the folder of the repair."""
    folder = out / _FOLDER / _REPAIRED
    for name in names:
        (folder / name).replace(out / name)
    sync_folder(out)
    shutil.rmtree(folder)
    with suppress(OSError):  # an unfinished run stays
        folder.parent.rmdir()


def count_reasons(out: Path) -> Counter[str] | None:
    """Return how often each reason occurs in rejected.jsonl, or None where it cannot be read."""
    try:
        return Counter(json.loads(line)["reason"] for line in (out / REJECTED).read_bytes().splitlines())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _manifest(path: Path) -> Document | None:
    document = read_json(path)
    is_ours = isinstance(document, dict) and document.keys() >= {"format", "settings", "source", "shards"}
    return document if is_ours else None


def _has_records(staged: Path) -> bool:
    """Return whether an interrupted run has written a shard with at least one photo."""
    records = (read_json(path.with_suffix(".json")) for path in staged.glob("*.tfrecord"))
    return any(record and record.get("count") for record in records)


def _is_whole(out: Path, manifest: Document) -> bool:
    files = {shard["name"]: shard["bytes"] for shard in manifest["shards"]}
    return all((out / name).is_file() and (out / name).stat().st_size == size for name, size in files.items())


def _refusal(out: Path, shards: str, differing: list[str]) -> click.UsageError:
    if not differing:
        return click.UsageError(
            f"Some shards in {out} are missing or cut short. Nothing was changed. "
            f"python -m preprocess.verify {shlex.quote(str(out))} --repair writes those again, --overwrite all."
        )
    return click.UsageError(
        f"{out} holds {shards} of other settings or versions (old -> new):{_lines(differing)}\n"
        "Nothing was changed. --overwrite writes them again; the old ones are kept until the new ones are complete. "
        "Or choose another --out, or go back to the old settings and versions."
    )


def _refusal_of_parts(out: Path, differing: list[str]) -> click.UsageError:
    return click.UsageError(
        f"In {out} runs with --part make shards of other settings or versions (theirs -> yours):{_lines(differing)}\n"
        "Nothing was changed. Choose another --out, or take their settings and versions. If none of those runs is "
        f"going on any more, on any machine, remove {out / _FOLDER} and give the same command again."
    )


def _lines(differing: list[str]) -> str:
    return "".join(f"\n  {line}" for line in differing)
