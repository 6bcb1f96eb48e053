"""Photos in a zip or a tar, read in place: nothing is unpacked, and workers read at known locations.

An archive is a file, or an object that is read by ranges.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import click

from preprocess.crop import UnusablePhoto
from preprocess.sources import tar_photos, zip_photos
from preprocess.sources.photo import Entry, Location, unreadable, vanished
from preprocess.sources.section import Pread
from system.objects import MissingObject, ReplacedObject, Url
from system.threads import read_ahead

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


_BLOCK = 8 << 20  # bytes that a request asks for while an object is listed

Signature = tuple[int, int | str]  # size, and the second of the last change or the ETag


class _Opened(NamedTuple):
    pread: Pread
    signature: Callable[[], Signature]  # returns what it is now


@dataclass(frozen=True)
class Archive:
    """A zip or a tar."""

    path: Path | Url
    format: str  # a key of _FORMATS
    signature: Signature  # in a changed archive the photos are elsewhere

    def entries(self) -> Iterator[Entry]:
        """See Container. In the order of the archive."""
        try:
            with self._open() as archive:
                pread = _in_blocks(archive.pread) if isinstance(self.path, Url) else archive.pread
                yield from _FORMATS[self.format].entries(pread, self.signature[0])
        except OSError as error:
            raise click.UsageError(f"{self.path} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise click.UsageError(
                f"{self.path} is not a whole zip or tar: {error}. Download it again, or name a folder of photos. If it "
                "came in parts, join them first: .z01 and so on by zip -s 0, .001 and so on by cat."
            ) from None

    @contextmanager
    def opened(self, ahead: Iterable[Location] = ()) -> Iterator[Callable[..., bytes]]:
        """See Container."""
        with self._open(ahead) as archive:
            self._refuse_another(archive)
            yield partial(self._read, archive.pread)
            self._refuse_another(archive)  # or photos cut off by a download that began anew would count as damaged

    def _open(self, ahead: Iterable[Location] = ()) -> AbstractContextManager[_Opened]:
        if isinstance(self.path, Url):
            extent = _FORMATS[self.format].extent
            return _opened_object(self.path, self.signature, (extent(*location) for location in ahead))
        return _opened_file(self.path)

    def _read(self, pread: Pread, *location: int) -> bytes:
        read = partial(_FORMATS[self.format].read, pread, *location)
        if isinstance(self.path, Url):
            with suppress(ValueError):  # damaged on its way? It is asked for again
                return read()
        try:
            return read()
        except ValueError:
            raise UnusablePhoto(f"damaged in the {self.format}") from None
        except OSError as error:
            if isinstance(self.path, Path) and not self.path.exists():
                raise vanished(self.path) from None
            raise UnusablePhoto(unreadable(error)) from None

    def _refuse_another(self, archive: _Opened) -> None:
        if archive.signature() != self.signature:
            raise _changed(self.path)


def open_archive(path: Path | Url) -> Archive:
    """Return the archive at `path`. Raises click.UsageError where its photos cannot be read in place."""
    try:
        beginning, signature = _looked_at(path)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
    for magic, command in _COMPRESSED.items():
        if beginning.startswith(magic):
            raise click.UsageError(
                f"{path} is compressed as a whole, so single photos cannot be read from it: unpack it into a folder "
                f"of its own (there: {command} {path}), and name that folder."
            )
    return Archive(path, "tar" if tar_photos.begins(beginning) else "zip", signature)


def _looked_at(path: Path | Url) -> tuple[bytes, Signature]:
    """Return how an archive begins, and its signature."""
    if isinstance(path, Url):
        signature = _signature_of(path)
        with _opened_object(path, signature) as archive:
            return archive.pread(tar_photos.HEADER_SIZE, 0), signature
    with path.open("rb", buffering=0) as file:
        return file.read(tar_photos.HEADER_SIZE), _signature(file)


@contextmanager
def _opened_file(path: Path) -> Iterator[_Opened]:
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        raise vanished(path) from None
    with file:
        yield _Opened(partial(os.pread, file.fileno()), partial(_signature, file))


@contextmanager
def _opened_object(url: Url, signature: Signature, ahead: Iterable[tuple[int, int]] = ()) -> Iterator[_Opened]:
    """Open an object to be read by ranges; those `ahead`, each a size and an offset, are asked for beforehand."""
    whole, etag = signature

    def read(extent: tuple[int, int]) -> bytes:
        size, offset = extent
        end = min(offset + size, whole)
        try:
            return url.read(str(etag), offset, end) if offset < end else b""
        except (MissingObject, ReplacedObject):
            raise _changed(url) from None

    with read_ahead(read, ahead) as get:
        # Each request is bound to the ETag, where the server has one.
        yield _Opened(lambda *extent: get(extent), lambda: signature if etag else _signature_of(url))


def _in_blocks(pread: Pread) -> Pread:
    """Return what reads the same with few calls of `pread`, where most reads follow each other."""
    start, block = 0, b""

    def read(size: int, offset: int) -> bytes:
        nonlocal start, block
        if not start <= offset <= offset + size <= start + len(block):
            start, block = offset, pread(max(size, _BLOCK), offset)
        return block[offset - start : offset - start + size]

    return read


def _changed(path: Path | Url) -> click.ClickException:
    return click.ClickException(
        f"{path} changed while photos were read from it. Finished work is kept: once the file is whole, the same "
        "command continues."
    )


def _signature_of(url: Url) -> Signature:
    described = url.look()
    return described.size, described.etag


def _signature(file: FileIO) -> Signature:
    status = os.fstat(file.fileno())
    return status.st_size, int(status.st_mtime)
