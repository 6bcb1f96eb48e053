"""A folder that one run holds, whatever its file system can do and however that run ended."""

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from errno import EINVAL, EIO, ENOLCK, ENOSYS, ENOTSUP

import click
import pytest

from system.lock import locked

# Holds a folder, and so does a child, on a file system where flock fails with an error, if it is not 0, and where two
# names cannot be exchanged in one step. Says "in" or why not.
HOLD = """
import ctypes, fcntl, os, sys, time
from pathlib import Path
import click
from system.lock import locked
folder, error = Path(sys.argv[1]), int(sys.argv[2])

def flock(descriptor, operation):
    raise OSError(error, os.strerror(error))

class Library(ctypes.CDLL):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        system = self["syscall"]
        def call(number, *rest):
            if any(str(folder).encode() in (getattr(argument, "value", b"") or b"") for argument in rest[1:4:2]):
                ctypes.set_errno(22)
                return -1
            return system(number, *rest)
        self.syscall = call

ctypes.CDLL = Library
if error:
    fcntl.flock = flock
try:
    with locked(folder):
        if os.fork():
            print("in", flush=True)
        time.sleep(60)
except click.ClickException as refusal:
    print(refusal.message, flush=True)
"""


@pytest.fixture
def hold():
    """Start a process that would hold a folder; return it with what it says."""
    holders = []

    def start(folder, error):
        command = [sys.executable, "-c", HOLD, str(folder), str(error)]
        holders.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True))
        return holders[-1], holders[-1].stdout.readline().strip()

    yield start
    for holder in holders:
        with suppress(ProcessLookupError):
            os.killpg(holder.pid, signal.SIGKILL)
        holder.communicate()


@pytest.mark.parametrize("error", [0, ENOSYS, ENOTSUP, ENOLCK, EINVAL, EIO])
def test_a_folder_is_free_when_its_holder_was_killed(hold, tmp_path, error):
    first, output = hold(tmp_path, error)
    assert output == "in"
    _, output = hold(tmp_path, error)
    assert f"in use by another run (process {first.pid} on {socket.gethostname()}, since" in output
    assert (f"If that process has ended, remove {tmp_path}/.lock.holder" in output) == bool(error)
    first.kill()  # and not its child
    first.wait()
    assert hold(tmp_path, error)[1] == "in"


def died(hold, folder):
    """Kill who held a folder without locks, and its children: its process id, and the file that names it."""
    process, _ = hold(folder, ENOSYS)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return process.pid, folder / ".lock.holder"


def test_where_there_are_no_locks_a_holder_on_another_host_is_not_judged(hold, tmp_path):
    dead, holder = died(hold, tmp_path)
    holder.write_text(holder.read_text().replace(f"host={socket.gethostname()}", "host=node7"))
    _, output = hold(tmp_path, ENOSYS)
    assert f"process {dead} on node7, since" in output
    assert f"If that process has ended, remove {holder}" in output
    holder.unlink()
    assert hold(tmp_path, ENOSYS)[1] == "in"


def test_where_there_are_no_locks_another_process_of_the_same_number_is_no_holder(hold, tmp_path):
    dead, holder = died(hold, tmp_path)
    holder.write_text(holder.read_text().replace(f"pid={dead}", f"pid={os.getpid()}"))
    assert hold(tmp_path, ENOSYS)[1] == "in"


def test_a_second_run_is_told_who_is_there(tmp_path):
    folder = tmp_path / "a/b"
    with locked(folder):
        assert folder.is_dir()
        with pytest.raises(click.ClickException) as refused, locked(folder):
            raise AssertionError("both are in there")
        holder = re.search(r"\((.*)\)", refused.value.message)[1]
        assert re.fullmatch(rf"process {os.getpid()} on {socket.gethostname()}, since [\d-]+ [\d:]+[+-][\d:]+", holder)
        assert "remove" not in refused.value.message, "the system knows that the holder is alive"
    assert not folder.exists(), "nothing was written: what the lock made is gone"


def test_a_run_comes_in_after_another_and_leaves_what_was_written(tmp_path):
    for name in ("first", "second"):
        with locked(tmp_path / "out"):
            (tmp_path / "out" / name).touch()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lock", "first", "second"]
