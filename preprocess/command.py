"""How signals end a command of stage 1."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from system import command
from system.command import signals_handled


class Command(command.Command):
    """A command that ends with one message where it is stopped, and where a file cannot be read or written."""

    def invoke(self, context: click.Context) -> object:
        """Run it."""
        with signals_reported():
            return super().invoke(context)


@contextmanager
def signals_reported() -> Iterator[None]:
    """End on a signal with one message, and the exit status that shells expect: 130 for Ctrl-C, 143 for SIGTERM."""

    def stop(number: int) -> None:
        raise SystemExit(128 + number)

    with signals_handled(stop):
        try:
            yield
        except SystemExit:
            click.echo("Stopped. Finished work is kept, and the same command continues.", err=True)
            raise
