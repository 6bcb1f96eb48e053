"""One run at a time in a folder: a second one gets a message that names the first.

Two files: `.lock` is locked by the system and stays in the folder; `.lock.holder` names the process that holds it.
Where the file system has no locks, the second file alone keeps runs apart.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from system.files import naming

if TYPE_CHECKING:
    from filelock import BaseFileLock, MarkerSoftFileLock

NAME = ".lock"  # all files of a lock begin with it
TIMEOUT_S = 0.5  # a run that is just ending is gone by then


@contextmanager
def locked(folder: Path, is_new: bool | None = None, timeout_s: float = TIMEOUT_S) -> Iterator[None]:
    """Lock `folder`, which is created if needed, until the block or this process ends.

    A folder that `is_new` is removed in the end where nothing was written into it; by default one that is not there.

    Raises click.ClickException with process, host and time of the holder where another run is in there, and still is
    after `timeout_s`.
    """
    from filelock import FileLock, MarkerSoftFileLock, Timeout  # 50 ms that the workers need not spend

    path, is_new = folder / NAME, not folder.exists() if is_new is None else is_new
    lock = FileLock(path, timeout=timeout_s, fallback_to_soft=False)
    holder = MarkerSoftFileLock(f"{path}.holder", timeout=timeout_s)
    with ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)
        if is_new:
            stack.callback(_remove_empty, folder)
        advice = ""
        try:
            with naming(path):
                if _has_locks(lock):
                    stack.callback(lock.release)
                    holder.break_lock()  # left by a run that was killed
                else:
                    advice = f" If that process has ended, remove {holder.lock_file}: this file system has no locks."
                    _remove_ended(holder)
                if is_new:
                    stack.callback(_remove_alone, path)
                stack.enter_context(holder)
        except Timeout:
            raise click.ClickException(
                f"{folder} is in use by another run ({_describe(holder)}). "
                f"Wait for it, or choose another --out.{advice}"
            ) from None
        yield


def _has_locks(lock: BaseFileLock) -> bool:
    """Take the lock; return False where the file system has none. Raises Timeout where another process has it."""
    try:
        lock.acquire()
    except TimeoutError:
        raise
    except OSError as error:
        if error.filename:  # the file itself cannot be made or opened
            raise
        return False
    return True


def _remove_ended(holder: MarkerSoftFileLock) -> None:
    """Remove the holder's file where it names a process of this host that has ended.

    filelock judges that, but replaces a file only where two names can be exchanged in one step, which file systems
    without locks seldom can. So it is given a copy to judge, in a temporary folder.
    """
    from filelock import MarkerSoftFileLock, SoftFileLock

    path = Path(holder.lock_file)
    if not path.exists():
        return
    with SoftFileLock(f"{path}.judged", timeout=TIMEOUT_S), suppress(OSError), TemporaryDirectory() as local:
        copy = Path(local) / path.name
        shutil.copyfile(path, copy)
        with MarkerSoftFileLock(copy, timeout=0):
            path.unlink()


def _describe(holder: MarkerSoftFileLock) -> str:
    try:
        owner, begun = holder.owner, Path(holder.lock_file).stat().st_mtime
    except OSError:
        owner, begun = None, 0
    if owner is None:
        return "just begun, or just ended"
    host = owner.hostname.partition("?")[0]  # what follows tells containers of one host apart
    since = datetime.fromtimestamp(begun).astimezone().isoformat(" ", "seconds")
    return f"process {owner.pid} on {host}, since {since}"


def _remove_alone(path: Path) -> None:
    """Remove the lock file from a new folder in which nothing else was written."""
    if list(path.parent.iterdir()) == [path]:
        path.unlink()


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # something was written
        folder.rmdir()
