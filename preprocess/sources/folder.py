"""Photos in a folder."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EMFILE, ENFILE
from pathlib import Path, PurePath
from stat import S_ISREG

import click

from preprocess.crop import UnusablePhoto
from preprocess.sources import photo
from preprocess.sources.photo import Found, is_picture, is_visible, unreadable, vanished


@dataclass(frozen=True)
class Folder:
    """Photos in a folder and the folders below it, also through links. A location is a path relative to the folder."""

    path: Path

    def found(self) -> Iterator[Found]:
        """See Container. In the order of paths."""
        return iter(sorted(self._found()))

    @contextmanager
    def opened(self) -> Iterator[Callable[[str], bytes]]:
        """See Container."""
        yield self._read

    def _found(self) -> Iterator[Found]:
        seen = set()
        refused: list[OSError] = []
        for folder, below, names in os.walk(self.path, onerror=refused.append, followlinks=True):
            status = os.stat(folder)  # noqa: PTH116, a path is text here
            if (
                status.st_dev,
                status.st_ino,
            ) in seen:  # reached through a link: its photos are listed already, and it may loop
                below.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            below[:] = sorted(filter(is_visible, below))
            inside = self._member(folder)
            for name in names:
                member = name if inside == "." else f"{inside}/{name}"
                if is_picture(member) and (found := _file(f"{folder}/{name}", member)):
                    yield found
        for error in refused:
            member = self._member(error.filename)
            if member == ".":
                raise click.UsageError(f"{self.path} cannot be read: {error.strerror}.")
            yield Found(f"{member}/", (), "", f"a folder that cannot be read: {error.strerror}")

    def _member(self, path: str) -> str:
        return PurePath(path).relative_to(self.path).as_posix()

    def _read(self, member: str) -> bytes:
        path = self.path / member
        try:
            with path.open("rb") as file:
                data = file.read(photo.MAX_PHOTO_BYTES + 1)
        except FileNotFoundError:  # it was there when the folder was listed
            raise vanished(path) from None
        except OSError as error:
            if error.errno in (EMFILE, ENFILE):  # too many open files: that is not this photo's fault
                raise
            if not self.path.is_dir():
                raise vanished(self.path) from None
            raise UnusablePhoto(unreadable(error)) from None
        if len(data) > photo.MAX_PHOTO_BYTES:
            raise UnusablePhoto(photo.TOO_LARGE)
        return data


def _file(path: str, member: str) -> Found | None:
    """Return what is at `path`, or None where it is no file: a reader would wait for ever on a pipe."""
    try:
        status = os.stat(path)  # noqa: PTH116, 0.4 s less on all of CelebA
    except OSError as error:
        is_link = os.path.islink(path)  # noqa: PTH114, as above
        return Found(member, (), "", "a link that leads nowhere" if is_link else unreadable(error))
    return Found(member, (member,), f"{status.st_size} {status.st_mtime_ns}") if S_ISREG(status.st_mode) else None
