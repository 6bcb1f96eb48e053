"""Files that are complete or not there, whatever kills the process or the power."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EBADF, EINVAL, EISDIR, ENOSYS, ENOTSUP, EPERM
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile, ZipInfo

PARTIAL = ".partial-*"  # pattern of the files that a killed process has left half written

# Errors of file systems that cannot sync files or folders, such as some network and FUSE ones.
_NO_SYNC = (EINVAL, ENOTSUP, ENOSYS, EBADF, EACCES, EPERM, EISDIR)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add `path` to an OSError that names no file, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextmanager
def replacing(path: Path, is_synced: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to; then sync it and rename it to `path`.

    When the block raises, the temporary file is removed and `path` stays as it was. Who writes thousands of small files
    may leave out the syncs, each some milliseconds, and call `os.sync` after the last.
    """
    partial = _partial(path)
    try:
        yield partial
        publish(partial, path) if is_synced else partial.replace(path)
    except OSError as error:
        if error.errno and error.filename in (None, str(partial)):  # a full disk names no file
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replacing_by_zip(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to write to; then replace `path` by a zip of its files.

    Uncompressed, with the fixed date of ZipInfo: the same files give the same bytes.
    """
    with TemporaryDirectory(prefix=".partial-", dir=path.parent) as folder:
        yield Path(folder)
        with replacing(path) as partial, ZipFile(partial, "w") as archive:
            for file in sorted(filter(Path.is_file, Path(folder).iterdir())):
                archive.writestr(ZipInfo(file.name), file.read_bytes())


def publish(partial: Path, path: Path) -> None:
    """Sync a written file and rename it to `path`, which it replaces."""
    with partial.open("rb+") as file, _where_supported():
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the renames and removals inside `folder` outlast a power cut."""
    with naming(folder), _where_supported():
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text`, as UTF-8."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def append_text(path: Path, text: str) -> None:
    """Add `text` to the end of a file, as UTF-8, and sync it. A kill may leave a part of it."""
    with naming(path), path.open("a", encoding="utf-8") as file, _where_supported():
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, document: Any) -> None:
    """Replace `path` by `document` as JSON, see `json_text`."""
    write_text(path, json_text(document))


def json_text(document: Any) -> str:
    """Return a document as JSON: indented, ASCII, the same text for the same document."""
    return json.dumps(document, indent=1) + "\n"


def read_json(path: Path) -> Any:
    """Return the document in `path`, or None where there is no such file or no JSON in it."""
    try:
        return parsed_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def parsed_json(text: str | bytes, **how: Any) -> Any:
    """Return a document of JSON; raise ValueError where it is none, or nested too deeply for Python."""
    try:
        return json.loads(text, **how)
    except RecursionError:
        raise ValueError("brackets in brackets without end") from None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, which may be larger than the memory."""
    with path.open("rb", buffering=0) as file:
        return file_digest(file, "sha256").hexdigest()


def _partial(path: Path) -> Path:
    """Return a random name beside `path`: a worker that outlives a killed run may still write to its own."""
    # A prefix, as Keras and Matplotlib go by the suffix.
    return path.with_name(f".partial-{os.urandom(4).hex()}-{path.name}")


@contextmanager
def _where_supported() -> Iterator[None]:
    """Ignore that a file system has no sync; let a failed sync raise."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
