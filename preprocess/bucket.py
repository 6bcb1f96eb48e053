"""From unfinished to published shards in a bucket: the steps of staging.py where nothing can be renamed or locked.

An object is there whole or not at all, so a shard is put to its final key at once. OUT/.unfinished/ holds the recipe
(settings.json), which only the first run can create, and a description of each shard, with the ETag of what was put.
manifest.json comes last: shards without it are no data set. Just before, all ETags are compared in one listing: on a
server that knows no preconditions, runs with other settings may have written here too.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import click

from preprocess import manifest as manifests
from preprocess.manifest import MANIFEST, RECIPE, REJECTED, UNFINISHED, Document, differences, is_manifest
from preprocess.shard import Folder, Shard
from system.files import json_text, parsed_json
from system.objects import MissingObject, Object, Url
from system.threads import read_ahead


@dataclass(frozen=True)
class Prefix:
    """Shards below a prefix, and what must be in their settings.json as long as there is one."""

    out: Url
    recipe: bytes

    def write(self, name: str, write_records: Callable[[BinaryIO], Shard]) -> Shard:
        """See Unfinished. The shard is in memory until it is put, in one request."""
        file = BytesIO()
        shard = write_records(file)
        self._check_recipe()
        shard = replace(shard, etag=(self.out / name).write(file.getbuffer()))
        (self.out / _described(name)).write(json_text(asdict(shard)).encode())
        return shard

    def finished(self, names: Collection[str]) -> dict[str, Shard]:
        """See Unfinished. What a listing does not know yet is written again, to the same bytes."""
        listed = {found.name: found for found in self.out.list()}
        described = [name for name in names if name in listed and _described(name) in listed]
        with read_ahead(self._description, described) as read:
            shards = {name: read(name) for name in described}
        return {name: shard for name, shard in shards.items() if shard and _is(listed[name], shard)}

    def check(self, shards: Sequence[Shard]) -> None:
        """See Unfinished."""
        self._check_recipe()
        listed = {found.name: found for found in self.out.list()}
        for shard in shards:
            if not _is(listed.get(shard.name), shard) and not self._holds(shard):
                raise click.ClickException(
                    f"Another run wrote {self.out / shard.name} meanwhile; no manifest was written. Let one run alone "
                    "write there: the same command continues."
                )

    def _description(self, name: str) -> Shard | None:
        """Return what describes a shard, or None where a run that has finished meanwhile has removed it."""
        try:
            return Shard.described(json.loads((self.out / _described(name)).read()))
        except MissingObject:
            return None

    def _holds(self, shard: Shard) -> bool:
        """Return whether the bytes are those of a shard: a listing may be late, and equal bytes have another ETag."""
        try:
            return sha256((self.out / shard.name).read()).hexdigest() == shard.sha256
        except MissingObject:
            return False

    def _check_recipe(self) -> None:
        try:
            is_same = (self.out / UNFINISHED / RECIPE).read() == self.recipe
        except MissingObject:  # a run with these settings has finished meanwhile, and tidied up
            is_same = True
        if not is_same:
            raise click.ClickException(
                f"Another run with other settings writes to {self.out}; no manifest was written. Choose another --out."
            )


def is_begun(out: Url) -> bool:
    """Return whether `out` holds the work of an unfinished run."""
    return (out / UNFINISHED / RECIPE).is_file()


def finished(out: Url) -> Document | None:
    """Return the manifest of the shards in `out`, or None where there are none of ours."""
    try:
        document = parsed_json((out / MANIFEST).read())
    except (MissingObject, ValueError):
        return None
    return document if is_manifest(document) else None


def check_ours(out: Url) -> None:
    """Raise click.UsageError where `out` holds data that this program did not make."""
    if finished(out) is None and not is_begun(out):
        for found in out.list():
            if found.name == MANIFEST or ("/" not in found.name and ".tfrecord" in found.name):
                raise manifests.not_ours(out)


def locked(out: Url, timeout_s: float = 0.0) -> nullcontext[None]:
    """Do nothing: a bucket has no locks. `begin` and `complete` let one recipe alone be written."""
    return nullcontext()


def begin(out: Url, recipe: Document, versions: Document, overwrite: bool, in_parts: bool = False) -> Prefix:
    """Return where to write shards, as staging.begin does; runs never exclude each other here, in parts or not."""
    check_ours(out)
    if manifest := finished(out):
        raise _refusal(out, "shards", differences(manifest, recipe))
    made_of = recipe | {"versions": versions}
    ours = json_text(made_of).encode()
    begun = (out / UNFINISHED / RECIPE).create(ours)
    if differences(json.loads(begun), made_of) and not _has_records(out):
        clear(out)  # a run with the old recipe that is still at work sees that before it puts a shard
        begun = (out / UNFINISHED / RECIPE).create(ours)
    if differing := differences(json.loads(begun), made_of):
        raise _refusal(out, "unfinished shards", differing)
    if finished(out):  # by a run that has removed its settings.json since
        clear(out)
        raise click.ClickException(f"Another run has just finished {out}. Give the same command again.")
    return Prefix(out, begun)


def complete(out: Url, rejected: str, documents: Mapping[str, Document], manifest: Document) -> None:
    """Write the documents beside the finished shards, the manifest last.

    Raises click.ClickException where another run has written another manifest.
    """
    write(out, REJECTED, rejected)
    for name, document in documents.items():
        write(out, name, json_text(document))
    ours = json_text(manifest).encode()
    published = (out / MANIFEST).create(ours)
    if published != ours and differences(json.loads(published), manifest):
        raise click.ClickException(f"Another run has written {out / MANIFEST} meanwhile, for other shards.")


def publish(out: Url) -> None:
    """Remove what is left of a run whose manifest is written."""
    if finished(out):
        clear(out)


def clear(out: Url) -> None:
    """Remove what is unfinished in `out`, the recipe last: by it the rest is found again after a kill."""
    names = sorted((found.name for found in (out / UNFINISHED).list()), key=RECIPE.__eq__)
    (out / UNFINISHED).remove(names[:-1])
    (out / UNFINISHED).remove(names[-1:])


def sizes(out: Url) -> dict[str, int]:
    """Return the size in bytes of each shard in `out`, by its name; also of those that its manifest does not list."""
    if not out.can_write:  # nor list
        return {}
    shards = (found for found in out.list() if "/" not in found.name and found.name.endswith(".tfrecord"))
    return {shard.name: shard.size for shard in sorted(shards)}


def opened(out: Url, name: str) -> BytesIO | None:
    """Read an object of `out` into memory, or return None where it is missing."""
    try:
        return BytesIO((out / name).read())
    except MissingObject:
        return None


def write(out: Url, name: str, text: str) -> None:
    """Replace an object of `out` by a text."""
    (out / name).write(text.encode())


@contextmanager
def repairing(out: Url, versions: Document) -> Iterator[Folder]:
    """Yield a temporary folder of this machine to write shards again into."""
    with TemporaryDirectory(prefix="repaired-") as folder:
        yield Folder(Path(folder))


def restore(out: Url, repaired: Folder, names: Iterable[str]) -> None:
    """Replace these shards in `out` by those that were written again."""
    for name in names:
        (out / name).write((repaired.path / name).read_bytes())


def _has_records(out: Url) -> bool:
    """Return whether an interrupted run has written a shard with at least one photo."""
    described = (found.name for found in (out / UNFINISHED).list() if found.name != RECIPE)
    return any(json.loads((out / UNFINISHED / name).read())["count"] for name in described)


def _described(name: str) -> str:
    """Return the key behind the prefix of what describes a shard."""
    return f"{UNFINISHED}/{name.removesuffix('.tfrecord')}.json"


def _is(found: Object | None, shard: Shard) -> bool:
    return found is not None and (found.size, found.etag) == (shard.bytes, shard.etag)


def _refusal(out: Url, shards: str, differing: list[str]) -> click.UsageError:
    if not differing:
        return click.UsageError(
            f"Some shards in {out} are missing or cut short. Nothing was changed. "
            f"python -m preprocess.verify {out} --repair writes those again."
        )
    return click.UsageError(
        f"{out} holds {shards} of other settings or versions (old -> new):{manifests.in_lines(differing)}\n"
        "Nothing was changed. Choose another --out, or go back to the old settings and versions. To give up the old "
        f"ones, remove all objects below {out}/ by hand."
    )
