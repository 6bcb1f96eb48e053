"""What every command of stage 2 is: errors of files end it with one message."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import click

_ADVICE = {
    errno.ENOSPC: "Make room there, or write to another place",
    errno.EDQUOT: "Make room there, or write to another place",
    errno.EFBIG: "Make room there, or write to another place; see also ulimit -f",
    errno.EACCES: "Change the permissions, or write to another place",
    errno.EPERM: "Change the permissions, or write to another place",
    errno.EROFS: "Write to another place",
    errno.ENOENT: "Bring it back",
    errno.ENAMETOOLONG: "Choose a shorter path",
    errno.EMFILE: "Allow this process more of them: ulimit -n 4096",
    errno.ENFILE: "Other programs have opened them: close some",
    errno.EIO: "The disk or its connection fails: see dmesg",
}
_NUMBERS = {os.strerror(number): number for number in _ADVICE}
_BY_TENSORFLOW = re.compile(rf"(?:^|\}}\}} )([^}}]*); ({'|'.join(_NUMBERS)})")
"""The text of its errors, which may begin with the place in {{double braces}}."""


class Command(click.Command):
    """A command that takes text alone, and ends with one message where a file cannot be read or written."""

    def __init__(self, *args, **kwargs):
        settings = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 110}
        super().__init__(*args, context_settings=settings, **kwargs)

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Refuse names of files that TensorFlow cannot open."""
        for argument in args:
            if any("\ud800" <= character <= "\udfff" for character in argument):  # bytes that are not UTF-8
                raise click.UsageError(
                    f"{argument!r} is not UTF-8, as TensorFlow needs names to be: rename it.", context
                )
        return super().parse_args(context, args)

    def invoke(self, context: click.Context) -> object:
        """Run it."""
        with os_errors_reported():
            return super().invoke(context)


@contextmanager
def os_errors_reported() -> Iterator[None]:
    """Raise ClickException, one message, where the operating system refuses something; let other errors pass."""
    try:
        yield
    except Exception as error:
        refusal = _refusal(error)
        if refusal is None:
            raise
        reason = ": ".join(str(part) for part in (refusal.filename, refusal.strerror or refusal) if part)
        advice = _ADVICE.get(refusal.errno, "Correct that")
        raise click.ClickException(f"{reason}. {advice}, then give the same command again.") from None


def _refusal(error: Exception) -> OSError | None:
    """Return what the operating system refused, also where TensorFlow says so in errors of its own, else None."""
    if isinstance(error, OSError):
        return error
    match = _BY_TENSORFLOW.search(str(error)) if type(error).__module__.startswith("tensorflow") else None
    return OSError(_NUMBERS[match[2]], match[2], match[1]) if match else None
