"""One run at a time in a run's folder: a second one gets a message that names the first."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from errno import ENOLCK, ENOTSUP
from pathlib import Path

from click import ClickException
from filelock import FileLock, Timeout

NAME = ".lock"
_TIMEOUT_S = 0.5  # a lock file that its holder is just removing is gone by then


def next_folder(runs: Path, preset: str) -> Path:
    """Return the next numbered folder: runs/00001-classic where there is none."""
    numbers = [int(match[1]) for entry in runs.glob("*") if (match := re.match(r"(\d{5})-", entry.name))]
    return runs / f"{max(numbers, default=0) + 1:05d}-{preset}"


@contextmanager
def locked_run_folder(out: Path | None, runs: Path, preset: str) -> Iterator[Path]:
    """Lock a run's folder until the block ends; a new folder in which nothing was written is removed.

    Args:
        out: the folder; None for the next number under `runs`.
        runs: where numbered folders lie.
        preset: what follows the number in their names.

    Raises:
        ClickException: another run holds the folder.
        OSError: it cannot be made or written.
    """
    folder = out or _make_next(runs, preset)
    is_new = out is None or not out.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _locked(folder):
            yield folder
    finally:
        if is_new:
            with suppress(OSError):  # something was written
                folder.rmdir()


def _make_next(runs: Path, preset: str) -> Path:
    while True:
        folder = next_folder(runs, preset)
        with suppress(FileExistsError):  # another run took this number
            folder.mkdir(parents=True)
            return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    path = folder / NAME
    lock = FileLock(path, mode=0o644)
    try:
        lock.acquire(timeout=_TIMEOUT_S)
    except Timeout:
        holder = path.read_text() if path.exists() else "just ended"
        raise ClickException(
            f"{folder} is in use by another run ({holder}). Wait for it, or choose another --out."
        ) from None
    except OSError as error:
        if error.errno not in (ENOLCK, ENOTSUP):  # file systems without locks: runs there are not kept apart
            raise
    try:
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        path.write_text(f"process {os.getpid()} on {os.uname().nodename}, since {now}")
        yield
    finally:
        path.unlink(missing_ok=True)  # before it is released: whoever opened it by now finds that it is gone
        lock.release()
