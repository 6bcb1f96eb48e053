"""Shards of URLs on a local disk: verified, bounded, shared by all runs that name the same folder.

A shard lies in SHA256.tfrecord, so that one that was replaced is another file. Who reads it holds a shared lock on it;
who removes it needs the exclusive one. It is written as .partial-SHA256.tfrecord, of its full size from the beginning,
by whoever holds the exclusive lock on that. A process that is killed leaves no locks.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from click import UsageError

from system.files import naming, publish, sha256_of
from system.objects import STOP_SECONDS, StorageError, Url

# Shards that training uses at once, at most: each of 2 readers has 8 open, and 4 fetched or being fetched.
IN_USE = 24


class ShardCache:
    """A folder of shards that are fetched when they are needed. The least recently used ones make room for others."""

    def __init__(self, folder: Path, limit: int):
        """`limit` is in bytes. Where the runs that share the folder have more in use at once, it grows to that."""
        self.folder, self.limit = folder, limit
        # Why a shard could not be fetched: TensorFlow, which asked for it, keeps no more than a text.
        self.failure: Exception | None = None
        self._verified: dict[str, tuple[int, int]] = {}
        self._is_stopped = False
        self._under_way = set[str]()

    def stop(self) -> None:
        """End what is being fetched, and wait until it has ended: a second at most. Nothing is fetched after that.

        The network may take minutes; and Python never ends while TensorFlow waits for one of its functions.
        """
        self._is_stopped = True
        time.sleep(STOP_SECONDS)
        while self._under_way:
            time.sleep(STOP_SECONDS)

    def check(self, sizes: Sequence[int]) -> None:
        """Raise UsageError where shards of these sizes, in bytes, cannot be read through this cache."""
        used = sorted(sizes)[-IN_USE:]
        if sum(used) > self.limit:
            raise UsageError(
                f"--shard-cache-gb {self.limit / 1e9:g} is too little: {len(used)} shards of up to "
                f"{used[-1] / 1e6:,.0f} MB are in use at once; {math.ceil(sum(used) / 1e8) / 10:g} at least."
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._removing():
                self._make_room(0)
        except OSError as error:
            raise UsageError(
                f"{self.folder} cannot be written, or has no locks ({error.strerror}): name a folder on a local disk "
                "with --shard-cache."
            ) from None

    def path(self, sha256: str) -> Path:
        """Return where a shard lies if it is there."""
        return self.folder / f"{sha256}.tfrecord"

    def hold(self, url: Url, sha256: str, size: int) -> IO[bytes]:
        """Return the file of a shard with this SHA-256 and size in bytes; until it is closed, it is not removed.

        It is fetched where it is not there, and hashed where this process sees it for the first time.
        Raises StorageError where it cannot be fetched or is another one, and OSError.
        """
        self._under_way.add(sha256)
        try:
            return self._held(url, sha256, size)
        finally:
            self._under_way.discard(sha256)

    def _held(self, url: Url, sha256: str, size: int) -> IO[bytes]:
        path = self.path(sha256)
        while True:  # again where another process has just removed it, or has just fetched it
            with suppress(FileNotFoundError):
                file = path.open("rb")
                fcntl.flock(file, fcntl.LOCK_SH)
                if self._is_whole(file, path, sha256):
                    os.utime(path, ns=(time.time_ns(), os.fstat(file.fileno()).st_mtime_ns))
                    return file
                file.close()
                continue
            if self._is_stopped:
                raise StorageError(f"{url} was not fetched: that was stopped.")
            self._fetch(url, path, sha256, size)

    def _is_whole(self, file: IO[bytes], path: Path, sha256: str) -> bool:
        """Return whether the shard is at its path, and what it should be; remove it where it is another."""
        if not _is_at(file, path):
            return False
        identity = _identity(file)
        if self._verified.get(sha256) != identity and sha256_of(path) != sha256:
            with self._removing():
                if _is_at(file, path):
                    path.unlink()
            return False
        self._verified[sha256] = identity
        return True

    def _fetch(self, url: Url, path: Path, sha256: str, size: int) -> None:
        """Download a shard, unless another process or thread does."""
        partial = path.with_name(f".partial-{path.name}")
        with naming(path), os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
            while not _locks(file):  # another is downloading it
                if self._is_stopped:
                    raise StorageError(f"{url} was not fetched: that was stopped.")
                time.sleep(STOP_SECONDS)
            if not _is_at(file, partial):
                return
            try:
                if is_new := not path.exists():
                    with self._removing():
                        file.truncate(0)
                        self._make_room(size)
                        file.truncate(size)
                    self._download(url, file, sha256)
            except BaseException:
                partial.unlink()
                raise
            if is_new:
                publish(partial, path)
                self._verified[sha256] = _identity(file)
            else:
                partial.unlink()

    def _download(self, url: Url, file: IO[bytes], sha256: str) -> None:
        digest = hashlib.sha256()
        for block in url.blocks(is_stopped=lambda: self._is_stopped):
            digest.update(block)
            file.write(block)
        file.flush()
        if digest.hexdigest() != sha256:
            raise StorageError(
                f"{url} is not what manifest.json says: replaced, or damaged? "
                f"python -m preprocess.verify {url.parents[0]}"
            )

    def _make_room(self, size: int) -> None:
        """Remove shards that nobody uses where the limit asks for it, and what a killed process has left half."""
        entries = list(_files(self.folder))
        excess = sum(status.st_size for _, status in entries) + size - self.limit
        for path, status in sorted(entries, key=lambda entry: entry[1].st_atime_ns):
            if (excess > 0 or path.name.startswith(".")) and _remove_unused(path):
                excess -= status.st_size

    @contextmanager
    def _removing(self) -> Iterator[None]:
        """Keep all others from removing shards."""
        with (self.folder / ".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.glob("*.tfrecord"):
        with suppress(FileNotFoundError):  # what was downloaded just now has another name
            yield path, path.stat()


def _remove_unused(path: Path) -> bool:
    """Remove a file that nobody has locked; return whether it was removed."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        if _locks(file) and _is_at(file, path):
            path.unlink()
            return True
    return False


def _locks(file: IO[bytes]) -> bool:
    """Take the exclusive lock of a file; return False where another has a lock on it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Return whether this is still the file at a path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _identity(file: IO[bytes]) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_ino, status.st_mtime_ns
