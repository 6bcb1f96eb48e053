import errno
import os
import signal

import click
import pytest

from preprocess.command import disk_errors_reported, signals_reported
from preprocess.files import naming


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_one_message_on_stderr_and_the_status_of_the_shell(number, capsys):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended, signals_reported():
        os.kill(os.getpid(), number)
        signal.pause()
    assert ended.value.code == 128 + number
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "Stopped. Finished work is kept, and the same command continues.\n")
    assert signal.getsignal(number) == before


def test_an_error_of_the_disk_names_the_file_once(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    named = pytest.raises(click.ClickException, match=f"^{tmp_path}/a: No space left.*finished work is kept")
    with named, disk_errors_reported(), naming(tmp_path / "a"):
        raise full
    with pytest.raises(OSError, match="Permission denied: 'its own'"), naming(tmp_path / "a"):
        raise OSError(errno.EACCES, "Permission denied", "its own")
    with pytest.raises(click.ClickException, match=r"^The disk: No space left"), disk_errors_reported():
        raise OSError(errno.ENOSPC, "No space left on device")
