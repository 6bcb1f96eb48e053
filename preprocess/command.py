"""How signals and errors of the disk end a command."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def signals_reported() -> Iterator[None]:
    """End on Ctrl-C and SIGTERM with one message, and the exit status that shells expect: 130 and 143."""

    def stop(number, frame):
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except SystemExit:
        click.echo("Stopped. Finished work is kept, and the same command continues.", err=True)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def disk_errors_reported() -> Iterator[None]:
    """Raise click.ClickException, one message, for errors of the disk."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or 'The disk'}: {error.strerror}. Correct that, or choose another --out; "
            "finished work is kept, and the same command continues."
        ) from None
