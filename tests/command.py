"""Commands as a user gives them, in this process."""

import click
from click.testing import CliRunner, Result


class Command:
    """One command."""

    def __init__(self, command: click.Command):
        self._command = command

    def __call__(self, *arguments: object) -> Result:
        """Give it."""
        return CliRunner().invoke(self._command, [str(argument) for argument in arguments])

    def succeeds(self, *arguments: object) -> str:
        """What it says."""
        result = self(*arguments)
        assert result.exit_code == 0, result.output
        return result.output

    def is_refused(self, *arguments: object) -> str:
        """What it says where the arguments are wrong: one message, status 2."""
        result = self(*arguments)
        assert result.exit_code == 2, result.output
        assert result.output.startswith("Error: ") or "\nError: " in result.output
        return result.output
