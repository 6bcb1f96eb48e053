"""Where photos come from. A source is listed once, in the parent; workers read single photos at known locations."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from posixpath import normpath
from typing import Any

import click

from preprocess.crop import Rejection
from preprocess.sources.archive import open_archive
from preprocess.sources.folder import Folder
from preprocess.sources.photo import PHOTO_SUFFIXES, Container, Found

Location = tuple[Any, ...]  # the index of a container, and the location in it
Read = Callable[[Location], bytes]  # raises UnusablePhoto for a photo that cannot be read


IDS = ("name", "path")
"""What a photo's id is: its file name, or its whole path in a folder or an archive, where names repeat."""


def id_of(member: str, ids: str) -> str:
    """Return the id of the photo at this path; `ids` is one of IDS."""
    return normpath(member) if ids == "path" else member.rpartition("/")[2]  # tar calls its members ./cat/0.jpg


@dataclass(frozen=True)
class Listing:
    """The photos of a source.

    Attributes:
        photos: the location of each photo by its id, in the order of ids.
        rejected: photos that cannot be used, among them those whose id came before.
        fingerprint: SHA-256 that changes when a photo is added, removed, renamed or replaced.

    """

    photos: dict[str, Location]
    rejected: tuple[Rejection, ...]
    fingerprint: str


@dataclass(frozen=True)
class Source:
    """Folders and archives that hold photos, in the order in which they were named. It goes to the workers."""

    containers: tuple[Container, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the containers are."""
        return tuple(container.path for container in self.containers)

    def list(self, ids: str = "name") -> Listing:
        """Return every photo, without reading any; of equal ids the first is taken. `ids` is one of IDS.

        Raises click.UsageError where a container cannot be listed, or holds nothing that can be used.
        """
        photos: dict[str, Location] = {}
        rejected = []
        signatures = []
        for number, container in enumerate(self.containers):
            within = f"{container.path.name}/" if len(self.containers) > 1 else ""
            for found in _found(container):
                photo_id = id_of(found.member, ids)
                reason = found.problem or _refusal(photo_id, photos)
                if reason is None:
                    photos[photo_id] = (number, *found.location)
                else:
                    rejected.append(Rejection(within + found.member, reason))
                signatures.append(f"{found.member}\0{found.signature}\0{reason}\n")
        fingerprint = sha256("".join(sorted(signatures)).encode(errors="surrogateescape")).hexdigest()
        return Listing({photo_id: photos[photo_id] for photo_id in sorted(photos)}, tuple(rejected), fingerprint)

    @contextmanager
    def opened(self) -> Iterator[Read]:
        """Open every container for reading, without listing it."""
        with ExitStack() as stack:
            reads = [stack.enter_context(container.opened()) for container in self.containers]
            yield lambda location: reads[location[0]](*location[1:])


def open_source(paths: Sequence[Path]) -> Source:
    """Return the source that is these folders and archives. Raises click.UsageError where one cannot be read."""
    return Source(tuple(_container(path.absolute()) for path in paths))


def _container(path: Path) -> Container:
    if path.is_dir():
        return Folder(path)
    if path.is_file():
        return open_archive(path)
    what = "is neither a folder nor a file" if path.exists() else "does not exist"
    raise click.UsageError(f"{path} {what}. --source takes a folder of photos, a zip or a tar.")


def _found(container: Container) -> Iterator[Found]:
    """Yield the photos of a container. Raises click.UsageError in the end where none can be used."""
    first, is_usable = None, False
    for found in container.found():
        first = first or found
        is_usable = is_usable or not found.problem
        yield found
    if first is None:
        raise click.UsageError(f"{container.path} holds no photos ({', '.join(PHOTO_SUFFIXES)}).")
    if not is_usable:
        raise click.UsageError(f"{container.path} holds no photo that can be used: {first.member} is {first.problem}.")


def _refusal(photo_id: str, taken: Collection[str]) -> str | None:
    """Return why no photo of this id can be taken, or None where one can."""
    if photo_id in taken:
        return "another photo of this name came before"
    try:
        photo_id.encode()
    except UnicodeEncodeError:
        return "the name is not UTF-8"
    return None
