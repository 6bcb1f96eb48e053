"""Files that are complete or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EBADF, EINVAL, EISDIR, ENOSYS, ENOTSUP, EPERM
from pathlib import Path

# What file systems answer that cannot sync such a thing, as some network and FUSE ones cannot sync folders.
_NO_SYNC = (EINVAL, ENOTSUP, ENOSYS, EBADF, EACCES, EPERM, EISDIR)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; then sync it and rename it to `path`, or remove it where writing failed."""
    partial = _partial(path)
    try:
        yield partial
        publish(partial, path)
    except OSError as error:  # that of a full disk names no file
        error.filename = str(path) if error.filename in (None, str(partial)) else error.filename
        raise
    finally:
        partial.unlink(missing_ok=True)


def try_to_write(path: Path) -> None:
    """Raise OSError where a file of this name cannot be written now: its folder, its length, the room there."""
    partial = _partial(path)
    try:
        partial.write_bytes(bytes(4096))
    finally:
        partial.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def publish(partial: Path, path: Path) -> None:
    """Sync a written file and rename it to `path`, which it replaces."""
    with partial.open("rb+") as file, _where_supported():
        os.fsync(file.fileno())
    partial.replace(path)
    with _where_supported():
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file in one step."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _partial(path: Path) -> Path:
    return path.with_name(f".partial-{path.name}")  # in front, because Keras and Matplotlib go by the suffix


@contextmanager
def _where_supported() -> Iterator[None]:
    """Go on where the file system has no sync; raise the OSError of one that failed."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
