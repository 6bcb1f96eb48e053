"""One run at a time in a folder: the second one is told who is in there."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from io import FileIO
from os.path import samestat
from pathlib import Path

import click

from preprocess.files import naming

_NAME = ".lock"
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)  # some network file systems: there nobody is kept out


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other runs out of `folder`, which is made where there is none, until the block or this process ends.

    Raises click.ClickException with process, host and time of the holder where another run is in there.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _NAME
    with _locked(path) as file:
        try:
            now = datetime.now().astimezone().isoformat(" ", "seconds")
            with naming(path):
                file.truncate(0)  # what a run that was killed left there
                file.write(f"process {os.getpid()} on {os.uname().nodename}, since {now}".encode())
            yield
        finally:
            path.unlink(missing_ok=True)
            if is_new:
                with suppress(OSError):  # something came of it, and stays
                    folder.rmdir()


def _locked(path: Path) -> FileIO:
    """Return the file at `path`, open and locked. The system unlocks it when it is closed, however its holder ends."""
    while True:
        file = path.open("a+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                file.seek(0)
                holder = file.read().decode(errors="replace")
            raise click.ClickException(
                f"{path.parent} is in use by another run ({holder}). Wait for it, or choose another --out."
            ) from None
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
        with suppress(FileNotFoundError):
            if samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # its holder removed it after it was opened here
