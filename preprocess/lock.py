"""One run at a time in a folder: a second one gets a message that names the first."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from errno import ENOLCK, ENOTSUP
from pathlib import Path

import click

from preprocess.files import naming

_NAME = ".lock"
_WITHOUT_LOCKS = (ENOLCK, ENOTSUP)  # some network file systems: runs there are not kept apart
_TIMEOUT_S = 0.5  # a lock file that its holder is just removing is gone by then


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock `folder`, which is created if needed, until the block or this process ends.

    Raises click.ClickException with process, host and time of the holder where another run is in there.
    """
    from filelock import FileLock, Timeout  # 50 ms that the workers, who import this module too, need not spend

    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _NAME
    lock = FileLock(path, mode=0o644)
    try:
        with naming(path):
            lock.acquire(timeout=_TIMEOUT_S)
    except Timeout:
        raise click.ClickException(
            f"{folder} is in use by another run ({_holder(path)}). Wait for it, or choose another --out."
        ) from None
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
    try:
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        with naming(path):
            path.write_text(f"process {os.getpid()} on {os.uname().nodename}, since {now}")
        yield
    finally:
        path.unlink(missing_ok=True)  # before it is released: whoever opened it by now finds that it is gone
        lock.release()
        if is_new:
            with suppress(OSError):  # something was written
                folder.rmdir()


def _holder(path: Path) -> str:
    try:
        return path.read_text() or "just begun"
    except OSError:
        return "just ended"
