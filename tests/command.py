"""Commands as a user gives them, in this process or in one of their own."""

import subprocess
import sys

import click
from click.testing import CliRunner, Result


class Command:
    """A command in this process."""

    def __init__(self, command: click.Command):
        self._command = command

    def __call__(self, *arguments: object) -> Result:
        """Run the command with these arguments."""
        return CliRunner().invoke(self._command, [str(argument) for argument in arguments])

    def succeeds(self, *arguments: object) -> str:
        """Run the command, and return its output."""
        result = self(*arguments)
        assert result.exit_code == 0, result.output
        return result.output

    def is_refused(self, *arguments: object) -> str:
        """Run the command with wrong arguments, and return its output: one message, status 2."""
        result = self(*arguments)
        assert result.exit_code == 2, result.output
        assert result.output.startswith("Error: ") or "\nError: " in result.output
        return result.output


# What `python -m MODULE` does, with a sign when Python itself has started: how long that takes is the machine's affair.
_AS_A_MODULE = """
import runpy, sys
module, sys.argv = sys.argv[1], ["-m", *sys.argv[2:]]
print("started", flush=True)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def started(module: str, *arguments: object) -> subprocess.Popen:
    """A command in a process of its own, of which Python has just started and the module has not."""
    process = subprocess.Popen(
        [sys.executable, "-c", _AS_A_MODULE, module, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout.readline() == "started\n"
    return process
