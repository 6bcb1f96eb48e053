import os
import signal

import pytest

from preprocess.command import signals_reported


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_with_one_message_on_stderr_and_the_status_of_the_shell(number, capsys):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended, signals_reported():
        os.kill(os.getpid(), number)
        signal.pause()
    assert ended.value.code == 128 + number
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "Stopped. Finished work is kept, and the same command continues.\n")
    assert signal.getsignal(number) == before


def test_a_hang_up_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_reported():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
