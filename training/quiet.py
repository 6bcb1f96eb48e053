"""TensorFlow without its start-up lines."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from click import ClickException

from training.libraries import settle


@contextmanager
def startup_messages_hidden() -> Iterator[None]:
    """Hide what TensorFlow's C++ code writes to stderr before any setting can reach it, unless the block fails.

    It prints a dozen lines about oneDNN and missing CUDA drivers, twice: at import and at the first operation.
    Libraries that are imported already get the settings that this package relies on.
    After the block Ctrl-C ends a command as an error does, closing what it has opened; before, the process just ends.
    """
    # 3 hides errors too: they are the graph optimizer's about passes that it then leaves out. What matters is raised
    # in Python.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with ExitStack() as stack:
        with suppress(OSError):  # stderr is closed, or no folder takes temporary files: then nothing is hidden
            stack.enter_context(_stderr_hidden())
        try:
            settle()
            yield
        except OSError as error:  # of Matplotlib, for one, where it finds no folder to write to
            raise ClickException(str(error)) from None
        finally:
            if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as `training` has it for a command that starts
                signal.signal(signal.SIGINT, _stop)


@contextmanager
def _stderr_hidden() -> Iterator[None]:
    if sys.stderr:
        sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except ClickException:  # one message, which says all that there is to know
            raise
        except BaseException:
            hidden.seek(0)
            os.write(stderr, hidden.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _stop(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)
