"""What every command of stage 2 is."""

from __future__ import annotations

import click

from system import command


class Command(command.Command):
    """A command that takes text alone: TensorFlow cannot open names that are not UTF-8."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Refuse such names."""
        for argument in args:
            if any("\ud800" <= character <= "\udfff" for character in argument):  # bytes that are not UTF-8
                raise click.UsageError(
                    f"{argument!r} is not UTF-8, as TensorFlow needs names to be: rename it.", context
                )
        return super().parse_args(context, args)
