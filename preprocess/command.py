"""How signals and errors of files end a command."""

import errno
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

_ADVICE = {
    errno.ENOSPC: "Make room there, or choose another --out",
    errno.EDQUOT: "Make room there, or choose another --out",
    errno.EFBIG: "Make room there, or choose another --out; see also ulimit -f",
    errno.EACCES: "Change the permissions, or choose another --out",
    errno.EPERM: "Change the permissions, or choose another --out",
    errno.EROFS: "Choose another --out",
    errno.ENOENT: "Bring it back",
    errno.ENAMETOOLONG: "Choose a shorter path",
    errno.EMFILE: "Allow this process more of them: ulimit -n 4096",
    errno.ENFILE: "Other programs have opened them: close some",
    errno.EIO: "The disk or its connection fails: see dmesg",
}


class Command(click.Command):
    """A command that ends with one message where it is stopped or a file cannot be read or written."""

    def invoke(self, context: click.Context) -> Any:
        """Run it."""
        with signals_reported(), os_errors_reported():
            return super().invoke(context)


def stop_signals() -> list[signal.Signals]:
    """Return the signals that ask a command to stop: of Ctrl-C, of `kill`, and of a closed terminal without nohup."""
    is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if is_ignored else [signal.SIGHUP])]


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


@contextmanager
def os_errors_reported() -> Iterator[None]:
    """Raise click.ClickException, one message, where the operating system refuses something."""
    try:
        yield
    except OSError as error:
        reason = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
        advice = _ADVICE.get(error.errno, "Correct that")
        raise click.ClickException(
            f"{reason}. {advice}. Finished work is kept, and the same command continues."
        ) from None
