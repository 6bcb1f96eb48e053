import errno
import os
import signal

import click
import pytest

from preprocess.command import os_errors_reported, signals_reported
from preprocess.files import naming


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_with_one_message_on_stderr_and_the_status_of_the_shell(number, capsys):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended, signals_reported():
        os.kill(os.getpid(), number)
        signal.pause()
    assert ended.value.code == 128 + number
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "Stopped. Finished work is kept, and the same command continues.\n")
    assert signal.getsignal(number) == before


def test_a_hang_up_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_reported():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EMFILE, "ulimit -n"),
        (errno.EROFS, "another --out"),
        (errno.EIO, "connection fails"),
        (errno.EPIPE, "^[^/]*: Broken pipe. Correct that"),
    ],
)
def test_an_error_that_is_not_a_full_disk_gets_other_advice(number, advice):
    with pytest.raises(click.ClickException, match=advice) as reported, os_errors_reported():
        raise OSError(number, os.strerror(number), "a.tfrecord")
    assert "room" not in reported.value.message


def test_an_error_of_the_disk_names_the_file_once(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    named = pytest.raises(click.ClickException, match=f"^{tmp_path}/a: No space left.*Finished work is kept")
    with named, os_errors_reported(), naming(tmp_path / "a"):
        raise full
    with pytest.raises(OSError, match="Permission denied: 'its own'"), naming(tmp_path / "a"):
        raise OSError(errno.EACCES, "Permission denied", "its own")
    with pytest.raises(click.ClickException, match=r"^No space left"), os_errors_reported():
        raise OSError(errno.ENOSPC, "No space left on device")
