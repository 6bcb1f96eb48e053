"""Photos in a folder."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EMFILE, ENFILE
from pathlib import Path, PurePath
from stat import S_ISREG

import click

from preprocess.crop import UnusablePhoto
from preprocess.sources import photo
from preprocess.sources.photo import Entry, Location, is_picture, is_visible, unreadable, vanished


@dataclass(frozen=True)
class Folder:
    """Photos in a folder and the folders below it, also through links. A location is a path relative to the folder."""

    path: Path

    def entries(self) -> Iterator[Entry]:
        """See Container. In the order of paths."""
        return iter(sorted(self._walk()))

    @contextmanager
    def opened(self, ahead: Iterable[Location] = ()) -> Iterator[Callable[[str], bytes]]:
        """See Container."""
        yield self._read

    def _walk(self) -> Iterator[Entry]:
        seen = set()
        refused: list[OSError] = []
        for folder, below, names in os.walk(self.path, onerror=refused.append, followlinks=True):
            status = os.stat(folder)  # noqa: PTH116, a path is text here
            identity = status.st_dev, status.st_ino
            if identity in seen:  # reached again through a link, which may loop
                below.clear()
                continue
            seen.add(identity)
            below[:] = sorted(filter(is_visible, below))
            parent = self._relative(folder)
            for name in names:
                path = name if parent == "." else f"{parent}/{name}"
                if is_picture(path) and (entry := _entry(f"{folder}/{name}", path)):
                    yield entry
        for error in refused:
            path = self._relative(error.filename)
            if path == ".":
                raise click.UsageError(f"{self.path} cannot be read: {error.strerror}.")
            yield Entry(f"{path}/", (), "", f"a folder that cannot be read: {error.strerror}")

    def _relative(self, path: str) -> str:
        return PurePath(path).relative_to(self.path).as_posix()

    def _read(self, relative: str) -> bytes:
        path = self.path / relative
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_size > photo.MAX_PHOTO_BYTES:
                    raise UnusablePhoto(photo.TOO_LARGE)
                return file.read()  # with a limit Python would ask for as much memory, whatever the file's size
        except FileNotFoundError:  # but was listed
            raise vanished(path) from None
        except OSError as error:
            if error.errno in (EMFILE, ENFILE):  # too many open files: not this photo's fault
                raise
            if not self.path.is_dir():
                raise vanished(self.path) from None
            raise UnusablePhoto(unreadable(error)) from None


def _entry(path: str, relative: str) -> Entry | None:
    """Return the file at `path`, or None for a pipe and the like, on which a reader would wait for ever."""
    try:
        status = os.stat(path)  # noqa: PTH116, 0.4 s less on all of CelebA
    except OSError as error:
        is_link = os.path.islink(path)  # noqa: PTH114, as above
        return Entry(relative, (), "", "a link that leads nowhere" if is_link else unreadable(error))
    if not S_ISREG(status.st_mode):
        return None
    return Entry(relative, (relative,), f"{status.st_size} {status.st_mtime_ns}")
