"""Output that nobody reads, or that cannot be shown, does not stop a command."""

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
            if count is not None:  # None: a full non-blocking pipe
                return count
        return len(data)


def secure_streams() -> None:
    """Open the standard streams that are closed, and let stdout and stderr take any text without an error.

    A closed one would leave its descriptor to the next file opened, and libraries would print into that.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    sys.stdout, sys.stderr = _unfailing(sys.stdout), _unfailing(sys.stderr)


def _unfailing(stream: TextIO) -> TextIO:
    output = io.BufferedWriter(_Output(stream.fileno(), "w", closefd=False))
    # File names need not be text that this stream can show.
    return io.TextIOWrapper(output, encoding=stream.encoding, errors="backslashreplace", line_buffering=True)
