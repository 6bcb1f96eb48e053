"""How signals end a command of stage 1."""

import sys

import click

from system import command
from system.command import signals_handled


class Command(command.Command):
    """A command that ends with one message where it is stopped, and where a file cannot be read or written."""

    def invoke(self, context: click.Context) -> object:
        """Run it. A signal ends it with the exit status that shells expect: 130 for Ctrl-C, 143 for SIGTERM."""
        with signals_handled(lambda number: sys.exit(128 + number)):
            try:
                return super().invoke(context)
            except SystemExit:
                click.echo("Stopped. Finished work is kept, and the same command continues.", err=True)
                raise
