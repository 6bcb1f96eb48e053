"""What a command prints is not its work, which goes on where nobody reads it."""

import io
import os
import sys
from contextlib import suppress
from typing import TextIO


class _Output(io.FileIO):
    """Drops what cannot be written: the reader of a pipe or the terminal is gone, or the disk of a log is full."""

    def write(self, data, /) -> int:
        """Write as much as can be written now."""
        with suppress(OSError):
            count = super().write(data)
            if count is not None:  # as it is for a full pipe that does not wait
                return count
        return len(data)


def secure_streams() -> None:
    """Open the standard streams that are closed, and let stdout and stderr take any text without an error.

    A closed one would leave its number to the next file that is opened, and what libraries print would go there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    sys.stdout, sys.stderr = _unfailing(sys.stdout), _unfailing(sys.stderr)


def _unfailing(stream: TextIO) -> TextIO:
    output = io.BufferedWriter(_Output(stream.fileno(), "w", closefd=False))
    # The name of a file need not be text, nor text that this stream can show.
    return io.TextIOWrapper(output, encoding=stream.encoding, errors="backslashreplace", line_buffering=True)
