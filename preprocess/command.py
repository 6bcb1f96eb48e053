"""What the commands have in common: an option, and how they end early."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import click

from preprocess.workers.local import usable_cores

workers_option = click.option(
    "--workers",
    default=usable_cores,
    show_default="the usable cores",
    type=click.IntRange(min=1),
    help="Processes that work side by side. What comes of it is the same for any number.",
)


@contextmanager
def signals_reported() -> Iterator[None]:
    """Answer Ctrl-C and SIGTERM with one line, and the exit status that shells expect: 130 and 143."""

    def stop(number, frame):
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except SystemExit:
        click.echo("Stopped. What is finished stays, and the same command continues.", err=True)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def disk_errors_reported() -> Iterator[None]:
    """Say in one line what the disk refused."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or 'The disk'}: {error.strerror}. Mend that, or choose another --out; "
            "what was finished stays, and the same command continues."
        ) from None
