import os
import signal

import click
import pytest
from click.testing import CliRunner

from preprocess.command import Command


@click.command(cls=Command)
@click.argument("number", type=int)
def signalled(number: int) -> None:
    os.kill(os.getpid(), number)
    click.echo("went on")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_with_one_message_on_stderr_and_the_status_of_the_shell(number):
    before = signal.getsignal(number)
    result = CliRunner().invoke(signalled, [str(int(number))])
    assert result.exit_code == 128 + number
    assert result.stdout == ""
    assert result.stderr == "Stopped. Finished work is kept, and the same command continues.\n"
    assert signal.getsignal(number) == before


def test_a_hang_up_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert CliRunner().invoke(signalled, ["1"]).stdout == "went on\n"
    finally:
        signal.signal(signal.SIGHUP, before)
