"""How a command takes its arguments, and how the operating system ends it: errors of files, signals."""

from __future__ import annotations

import errno
import math
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from system.objects import Url, is_url, url_of

_ELSEWHERE = "or write to another place"
_ADVICE = {
    errno.ENOSPC: f"Make room there, {_ELSEWHERE}",
    errno.EDQUOT: f"Make room there, {_ELSEWHERE}",
    errno.EFBIG: f"Make room there, {_ELSEWHERE}; see also ulimit -f",
    errno.EACCES: f"Change the permissions, {_ELSEWHERE}",
    errno.EPERM: f"Change the permissions, {_ELSEWHERE}",
    errno.EROFS: "Write to another place",
    errno.ENOENT: "Bring it back",
    errno.EEXIST: f"If it is a link, bring back what it leads to, {_ELSEWHERE}",
    errno.ENAMETOOLONG: "Choose a shorter path",
    errno.ENOMEM: "Allow this process more of it, see ulimit -v, or end other programs",
    errno.EAGAIN: "Allow more processes, see ulimit -u, or use fewer of them",
    errno.EMFILE: "Allow this process more of them: ulimit -n 4096",
    errno.ENFILE: "Other programs have opened them: close some",
    errno.EIO: "The disk or its connection fails: see dmesg",
}
_NUMBERS = {os.strerror(number): number for number in _ADVICE}
# The text of TensorFlow's errors, which may begin with the place in {{double braces}}.
_BY_TENSORFLOW = re.compile(rf"(?:^|\}}\}} )([^}}]*); ({'|'.join(_NUMBERS)})")


class Command(click.Command):
    """A command that ends with one message where a file cannot be read or written."""

    def __init__(self, *args, **kwargs):
        settings = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 120}
        super().__init__(*args, context_settings=settings, **kwargs)

    def invoke(self, context: click.Context) -> object:
        """Run it."""
        with os_errors_reported():
            return super().invoke(context)


class Number(click.FloatRange):
    """A finite number within a range: click's own lets nan and inf through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Validate it."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class LocalPath(click.Path):
    """A local path. A URL is refused: it would become a folder of its name; and no name, which would be this folder."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Validate it."""
        if not str(value):
            self.fail("it is empty: name a path, or . for this folder.", param, ctx)
        if is_url(str(value)):
            self.fail(
                f"{str(value)!r} is a URL, and only local paths are read and written. Mount it and give the path where "
                "it is mounted, or copy the files.",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


class Place(LocalPath):
    """A local path, or the URL of objects: a Path or a system.objects.Url."""

    def __init__(self, writable: bool = False, **checks: bool):
        super().__init__(path_type=Path, **checks)
        self._is_written = writable

    def convert(self, value, param, ctx):
        """Validate it."""
        if isinstance(value, Url):
            return value
        try:
            url = url_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if url and self._is_written and not url.can_write:
            self.fail(f"{url} can only be read. What can be written: s3, gs, az, abfs, and local paths.", param, ctx)
        return url or super().convert(value, param, ctx)


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
        advice = _ADVICE.get(refusal.errno or 0, "Correct that")
        raise click.ClickException(f"{reason}. {advice}, then give the same command again.") from None


def _refusal(error: Exception) -> OSError | None:
    """Return what the operating system refused, also where Python or TensorFlow say so in errors of their own."""
    if isinstance(error, OSError):
        return error
    if isinstance(error, MemoryError):
        return OSError(errno.ENOMEM, str(error) or os.strerror(errno.ENOMEM))
    match = _BY_TENSORFLOW.search(str(error)) if type(error).__module__.startswith("tensorflow") else None
    return OSError(_NUMBERS[match[2]], match[2], match[1]) if match else None


@contextmanager
def signals_handled(handle: Callable[[int], object]) -> Iterator[dict[int, Any]]:
    """Let `handle` answer the signals that ask a command to stop; yield what did before, and does so again afterwards.

    A closed terminal may say so twice, and what was begun is saved meanwhile: from the first time on that is ignored,
    and where the process ends with its command, for good.
    """

    def answer(number: int, _frame: object) -> None:
        if number == signal.SIGHUP:
            signal.signal(number, signal.SIG_IGN)
        handle(number)

    before: dict[int, Any] = {number: signal.signal(number, answer) for number in stop_signals()}
    try:
        yield before
    finally:
        for number, handler in before.items():
            if not (_ends_the_process() and signal.getsignal(number) is signal.SIG_IGN):
                signal.signal(number, handler)


def stop_signals() -> list[signal.Signals]:
    """Return the signals that ask a command to stop: of Ctrl-C, of `kill`, and of a closed terminal without nohup."""
    is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if is_ignored else [signal.SIGHUP])]


def _ends_the_process() -> bool:
    """Return whether this process is that of a command, as by `python -m`, and not one that goes on after it."""
    context = click.get_current_context(silent=True)
    return context is not None and getattr(context.command.callback, "__module__", None) == "__main__"
