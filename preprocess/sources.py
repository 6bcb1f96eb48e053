"""Where photos come from. A source is listed once, in the parent; workers read single photos at known places."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path, PurePath
from stat import S_ISREG
from typing import Any, Protocol

import click

from preprocess import zip_format
from preprocess.crop import Rejected, Rejection

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MAX_PHOTO_BYTES = 128 << 20  # a photo larger than this is rejected before it fills the memory
_TOO_LARGE = f"larger than {MAX_PHOTO_BYTES >> 20} MiB"

Location = Any  # what a source needs to find one photo: small, picklable, meaningless to everyone else
# A photo's path in its source, its location, and two numbers that change when it is replaced.
Found = tuple[str, Location, tuple[int, int]]
Read = Callable[[Location], bytes]  # raises Rejected for a photo that cannot be read


@dataclass(frozen=True)
class Listing:
    """What a source holds.

    Attributes:
        photos: the location of each photo by its id (the file name), in the order of ids.
        rejected: photos whose name cannot be used, among them those whose id came before.
        fingerprint: SHA-256 that changes when a photo is added, removed, renamed or replaced.

    """

    photos: dict[str, Location]
    rejected: tuple[Rejection, ...]
    fingerprint: str


class Source(Protocol):
    """A place that holds photos. Frozen and picklable: it goes to the workers."""

    path: Path

    def list(self) -> Listing:
        """Return every photo in it, without reading any."""

    def opened(self) -> AbstractContextManager[Read]:
        """Open it for reading, without listing it."""


def open_source(path: Path) -> Source:
    """Return the source at `path`. Raises click.UsageError where there is none."""
    path = path.absolute()
    if path.is_dir():
        return FolderSource(path)
    if path.is_file():
        return ZipSource(path)
    raise click.UsageError(f"{path} does not exist. --source takes a folder of photos or a zip.")


@dataclass(frozen=True)
class FolderSource:
    """Photos in a folder and the folders below it. Links to folders are not followed, so that none can loop."""

    path: Path

    def list(self) -> Listing:
        """See Source. A location is a path relative to the folder."""
        found = []
        for folder, below, names in os.walk(self.path, onerror=_raise):
            below[:] = filter(_is_visible, below)
            inside = PurePath(folder).relative_to(self.path).as_posix()
            for name in names:
                member = name if inside == "." else f"{inside}/{name}"
                if _is_photo(member) and (mark := _mark(Path(folder, name))):
                    found.append((member, member, mark))
        return _listing(self.path, sorted(found))

    @contextmanager
    def opened(self) -> Iterator[Read]:
        """See Source."""
        yield self._read

    def _read(self, location: str) -> bytes:
        try:
            with (self.path / location).open("rb") as file:
                photo = file.read(MAX_PHOTO_BYTES + 1)
        except OSError:
            if not self.path.is_dir():
                raise _vanished(self.path) from None
            raise Rejected("cannot be read from the disk") from None
        if len(photo) > MAX_PHOTO_BYTES:
            raise Rejected(_TOO_LARGE)
        return photo


@dataclass(frozen=True)
class ZipSource:
    """Photos in a zip, read in place."""

    path: Path

    def list(self) -> Listing:
        """See Source. A location is what `zip_format.read` takes."""
        try:
            with self.path.open("rb", buffering=0) as file:
                return _listing(self.path, self._found(file.fileno()))
        except OSError as error:
            raise click.UsageError(f"{self.path} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise click.UsageError(f"{self.path} is not a whole zip: {error}. Download it again.") from None

    @contextmanager
    def opened(self) -> Iterator[Read]:
        """See Source."""
        try:
            file = self.path.open("rb", buffering=0)
        except OSError:
            raise _vanished(self.path) from None
        with file:
            yield partial(self._read, file.fileno())

    def _found(self, descriptor: int) -> Iterator[Found]:
        for entry in zip_format.entries(descriptor):
            if not _is_photo(entry.name):
                continue
            if entry.is_encrypted:
                raise click.UsageError(f"{self.path} is encrypted: unpack it with its password and name the folder.")
            location = (entry.offset, entry.stored_size, entry.size, entry.method, entry.crc)
            yield entry.name, location, (entry.size, entry.crc)

    def _read(self, descriptor: int, location: tuple[int, ...]) -> bytes:
        _, stored_size, size, *_ = location
        if max(stored_size, size) > MAX_PHOTO_BYTES:
            raise Rejected(_TOO_LARGE)
        try:
            return zip_format.read(descriptor, *location)
        except (ValueError, OSError):
            raise Rejected("damaged in the zip") from None


def _listing(source: Path, found: Iterable[Found]) -> Listing:
    """Sort what was found; of equal ids the first is taken. Raises click.UsageError where nothing was found."""
    photos: dict[str, Location] = {}
    rejected = []
    members = []
    for member, location, mark in found:
        photo_id = member.rpartition("/")[2]
        if photo_id in photos:
            rejected.append(Rejection(member, "another photo of this name came before"))
        elif not _is_utf8(photo_id):
            rejected.append(Rejection(member, "the name is not UTF-8"))
        else:
            photos[photo_id] = location
        members.append(f"{member}\0{mark[0]}\0{mark[1]}\n")
    if not photos:
        raise click.UsageError(f"{source} holds no photos ({', '.join(PHOTO_SUFFIXES)}).")
    fingerprint = sha256("".join(sorted(members)).encode(errors="surrogateescape")).hexdigest()
    return Listing({photo_id: photos[photo_id] for photo_id in sorted(photos)}, tuple(rejected), fingerprint)


def _is_photo(member: str) -> bool:
    return member.lower().endswith(PHOTO_SUFFIXES) and "/." not in f"/{member}" and "__MACOSX/" not in member


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def _mark(path: Path) -> tuple[int, int] | None:
    """Return what tells a replaced file; None for what is no file, such as a pipe, on which a reader would wait."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0  # a link to nothing: to be rejected by name when it is read
    return (status.st_size, status.st_mtime_ns) if S_ISREG(status.st_mode) else None


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _vanished(path: Path) -> click.ClickException:
    return click.ClickException(f"{path} cannot be read any more. Bring it back: the same command continues.")


def _raise(error: OSError) -> None:
    raise click.UsageError(f"{error.filename} cannot be read: {error.strerror}.") from None
