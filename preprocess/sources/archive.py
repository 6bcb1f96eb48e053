"""Photos in a zip or a tar, read in place: nothing is unpacked, and workers read at known locations."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path

import click

from preprocess.crop import UnusablePhoto
from preprocess.sources import tar_photos, zip_photos
from preprocess.sources.photo import Entry, unreadable, vanished

_FORMATS = {"tar": tar_photos, "zip": zip_photos}

# How the files begin from which nothing can be read in place, and what unpacks them.
_COMPRESSED = {
    b"\x1f\x8b": "tar -xf",  # gzip
    b"BZh": "tar -xf",
    b"\xfd7zXZ\0": "tar -xf",
    b"\x28\xb5\x2f\xfd": "tar -xf",  # zstd
    b"7z\xbc\xaf\x27\x1c": "7z x",
    b"Rar!": "unrar x",
}


@dataclass(frozen=True)
class Archive:
    """A zip or a tar."""

    path: Path
    format: str
    """A key of _FORMATS."""
    signature: tuple[int, int]
    """Size and second of the last change: in a changed file the photos are elsewhere."""

    def entries(self) -> Iterator[Entry]:
        """See Container. In the order of the archive."""
        try:
            with self.path.open("rb", buffering=0) as file:
                yield from _FORMATS[self.format].entries(file.fileno())
        except OSError as error:
            raise click.UsageError(f"{self.path} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise click.UsageError(f"{self.path} is not a whole zip or tar: {error}. Download it again.") from None

    @contextmanager
    def opened(self) -> Iterator[Callable[..., bytes]]:
        """See Container."""
        try:
            file = self.path.open("rb", buffering=0)
        except FileNotFoundError:
            raise vanished(self.path) from None
        with file:
            self._refuse_another(file)
            yield partial(self._read, file.fileno())
            self._refuse_another(file)  # or photos cut off by a download that began anew would count as damaged

    def _read(self, descriptor: int, *location: int) -> bytes:
        try:
            return _FORMATS[self.format].read(descriptor, *location)
        except ValueError:
            raise UnusablePhoto(f"damaged in the {self.format}") from None
        except OSError as error:
            if not self.path.exists():
                raise vanished(self.path) from None
            raise UnusablePhoto(unreadable(error)) from None

    def _refuse_another(self, file: FileIO) -> None:
        if _signature(file) != self.signature:
            raise click.ClickException(
                f"{self.path} changed while photos were read from it. Finished work is kept: once the file is whole, "
                "the same command continues."
            )


def open_archive(path: Path) -> Archive:
    """Return the archive at `path`. Raises click.UsageError where its photos cannot be read in place."""
    try:
        with path.open("rb", buffering=0) as file:
            beginning, signature = file.read(tar_photos.HEADER_SIZE), _signature(file)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
    for magic, command in _COMPRESSED.items():
        if beginning.startswith(magic):
            raise click.UsageError(
                f"{path} is compressed as a whole, so single photos cannot be read from it: unpack it into a folder "
                f"of its own (there: {command} {path}), and name that folder."
            )
    return Archive(path, "tar" if tar_photos.begins(beginning) else "zip", signature)


def _signature(file: FileIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, int(status.st_mtime)
