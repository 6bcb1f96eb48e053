"""Where photos come from. A source is listed once, in the parent; workers read single photos at known places."""

from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import click

from preprocess.crop import Rejection
from preprocess.sources.archive import open_archive
from preprocess.sources.folder import Folder
from preprocess.sources.photo import PHOTO_SUFFIXES, Found, Part

Location = tuple[Any, ...]  # the number of a part, and a place in it
Read = Callable[[Location], bytes]  # raises Rejected for a photo that cannot be read


@dataclass(frozen=True)
class Listing:
    """What a source holds.

    Attributes:
        photos: the location of each photo by its id (the file name), in the order of ids.
        rejected: photos that cannot be used, among them those whose id came before.
        fingerprint: SHA-256 that changes when a photo is added, removed, renamed or replaced.

    """

    photos: dict[str, Location]
    rejected: tuple[Rejection, ...]
    fingerprint: str


@dataclass(frozen=True)
class Source:
    """Folders and archives that hold photos, in the order in which they were named. It goes to the workers."""

    parts: tuple[Part, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the parts are."""
        return tuple(part.path for part in self.parts)

    def list(self) -> Listing:
        """Return every photo, without reading any; of equal ids the first is taken.

        Raises click.UsageError where a part cannot be listed, or holds nothing that can be used.
        """
        photos: dict[str, Location] = {}
        rejected = []
        marks = []
        for number, part in enumerate(self.parts):
            within = f"{part.path.name}/" if len(self.parts) > 1 else ""
            for member, place, mark in _found(part):
                photo_id = member.rpartition("/")[2]
                reason = place if isinstance(place, str) else _refusal(photo_id, photos)
                if reason is None:
                    photos[photo_id] = (number, *place)
                else:
                    rejected.append(Rejection(within + member, reason))
                marks.append(f"{member}\0{mark}\0{reason}\n")
        fingerprint = sha256("".join(sorted(marks)).encode(errors="surrogateescape")).hexdigest()
        return Listing({photo_id: photos[photo_id] for photo_id in sorted(photos)}, tuple(rejected), fingerprint)

    @contextmanager
    def opened(self) -> Iterator[Read]:
        """Open every part for reading, without listing it."""
        with ExitStack() as stack:
            reads = [stack.enter_context(part.opened()) for part in self.parts]
            yield lambda location: reads[location[0]](*location[1:])


def open_source(paths: Sequence[Path]) -> Source:
    """Return the source that is these folders and archives. Raises click.UsageError where one cannot be read."""
    return Source(tuple(_part(path.absolute()) for path in paths))


def _part(path: Path) -> Part:
    if path.is_dir():
        return Folder(path)
    if path.is_file():
        return open_archive(path)
    what = "is neither a folder nor a file" if path.exists() else "does not exist"
    raise click.UsageError(f"{path} {what}. --source takes a folder of photos, a zip or a tar.")


def _found(part: Part) -> Iterator[Found]:
    """Yield what the part holds. Raises click.UsageError in the end where nothing of it can be used."""
    first, is_usable = None, False
    for found in part.found():
        first = first or found
        is_usable = is_usable or not isinstance(found.place, str)
        yield found
    if first is None:
        raise click.UsageError(f"{part.path} holds no photos ({', '.join(PHOTO_SUFFIXES)}).")
    if not is_usable:
        raise click.UsageError(f"{part.path} holds no photo that can be used: {first.member} is {first.place}.")


def _refusal(photo_id: str, taken: Container[str]) -> str | None:
    """Return why no photo of this id can be taken, or None where one can."""
    if photo_id in taken:
        return "another photo of this name came before"
    try:
        photo_id.encode()
    except UnicodeEncodeError:
        return "the name is not UTF-8"
    return None
