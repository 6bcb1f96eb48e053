"""Files that are complete or not there, whatever kills the process or the power."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EBADF, EINVAL, EISDIR, ENOSYS, ENOTSUP, EPERM
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

# What file systems answer that cannot sync such a thing, as some network and FUSE ones cannot sync folders.
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
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file next to `path`; when the block succeeds it is synced and replaces `path`.

    When the block raises, the temporary file is removed and `path` stays as it was.
    """
    # A name of its own: a worker whose parent was killed may still write while the next run makes the same file.
    partial = path.with_name(f"{path.name}.{os.urandom(4).hex()}.part")
    try:
        with naming(path), partial.open("wb", buffering=1 << 20) as file:  # a system call for 250 photos, not for each
            yield file
            file.flush()
            with _where_supported():
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, which may be larger than the memory."""
    digest = sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """Make the renames and removals inside `folder` outlast a power cut."""
    with naming(folder), _where_supported():
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text`, as UTF-8."""
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: Path, document: Any) -> None:
    """Replace `path` by `document` as JSON: indented, ASCII, the same bytes for the same document."""
    write_text(path, json.dumps(document, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """Return the document in `path`, or None where there is no such file or no JSON in it."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


@contextmanager
def _where_supported() -> Iterator[None]:
    """Go on where the file system has no sync; raise the OSError of one that failed."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
