"""What the operating system refuses is one message, and what it asks for is done."""

import errno
import os
import signal
import subprocess
import sys

import click
import numpy as np
import pytest

from system.command import os_errors_reported
from system.files import naming


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EMFILE, "ulimit -n"),
        (errno.EAGAIN, "ulimit -u"),
        (errno.EEXIST, "If it is a link"),
        (errno.EROFS, "Write to another place"),
        (errno.EIO, "connection fails"),
        (errno.EPIPE, "^[^/]*: Broken pipe. Correct that"),
    ],
)
def test_an_error_that_is_not_a_full_disk_gets_other_advice(number, advice):
    with pytest.raises(click.ClickException, match=advice) as reported, os_errors_reported():
        raise OSError(number, os.strerror(number), "a.tfrecord")
    assert "room" not in reported.value.message


def test_what_the_memory_does_not_do_for_is_one_message():
    with pytest.raises(click.ClickException, match=r"^Cannot allocate memory.*ulimit -v"), os_errors_reported():
        raise MemoryError
    with pytest.raises(click.ClickException, match=r"^Unable to allocate 7\.11 PiB.*ulimit -v"), os_errors_reported():
        np.empty(10**15)


def test_an_error_of_the_disk_names_the_file_once(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    named = pytest.raises(click.ClickException, match=f"^{tmp_path}/a: No space left.*Make room")
    with named, os_errors_reported(), naming(tmp_path / "a"):
        raise full
    with pytest.raises(OSError, match="Permission denied: 'its own'"), naming(tmp_path / "a"):
        raise OSError(errno.EACCES, "Permission denied", "its own")
    with pytest.raises(click.ClickException, match=r"^No space left"), os_errors_reported():
        raise OSError(errno.ENOSPC, "No space left on device")


STAGES = {
    "the first": """
from preprocess.command import Command
@click.command(cls=Command)
def main():
    os.kill(os.getpid(), signal.SIGHUP)
""",
    "the second": """
from training.loop.signals import stop_on_signal
@click.command()
def main():
    with stop_on_signal() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
    sys.exit(128 + stop.signal)
""",
}


@pytest.mark.parametrize("command", STAGES.values(), ids=STAGES)
def test_a_closed_terminal_that_says_so_again_while_the_process_ends_changes_no_status(command):
    program = "import atexit, os, signal, sys, click\natexit.register(os.kill, os.getpid(), signal.SIGHUP)\n"
    ended = subprocess.run([sys.executable, "-c", f"{program}{command}\nmain()"], check=False)
    assert ended.returncode == 128 + signal.SIGHUP
