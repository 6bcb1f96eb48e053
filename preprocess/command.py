"""How signals end a command of stage 1."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import click

from system import command
from system.command import stop_signals


class Command(command.Command):
    """A command that ends with one message where it is stopped, and where a file cannot be read or written."""

    def invoke(self, context: click.Context) -> object:
        """Run it."""
        with signals_reported():
            return super().invoke(context)


@contextmanager
def signals_reported() -> Iterator[None]:
    """End on a signal with one message, and the exit status that shells expect: 130 for Ctrl-C, 143 for SIGTERM."""

    def stop(number, frame):
        if number == signal.SIGHUP:  # a closed terminal may send it twice, and what is begun has to be tidied up
            signal.signal(number, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, stop) for number in stop_signals()}
    try:
        yield
    except SystemExit:
        click.echo("Stopped. Finished work is kept, and the same command continues.", err=True)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
