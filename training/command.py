"""How a command of stage 2 begins: its arguments, and the libraries without their start-up lines."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import click
from click import ClickException, UsageError

from system import command


class Command(command.Command):
    """A command that takes text alone: TensorFlow cannot open names that are not UTF-8."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Refuse such names."""
        for argument in args:
            if any("\ud800" <= character <= "\udfff" for character in argument):  # bytes that are not UTF-8
                raise UsageError(f"{argument!r} is not UTF-8, as TensorFlow needs names to be: rename it.", context)
        return super().parse_args(context, args)


@contextmanager
def startup_messages_hidden() -> Iterator[None]:
    """Hide what TensorFlow's C++ code writes to stderr before any setting can reach it, unless the block fails.

    It prints a dozen lines about oneDNN and missing CUDA drivers, twice: at import and at the first operation.
    After the block Ctrl-C ends a command as an error does, closing what it has opened; before, the process just ends.
    """
    # Level 3 hides ERROR too: those are grappler's harmless ones; real failures are raised.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with ExitStack() as stack:
        with suppress(OSError):  # stderr is closed, or no folder takes temporary files: then nothing is hidden
            stack.enter_context(_stderr_hidden())
        try:
            _restore_defaults()
            yield
        except OSError as error:  # of Matplotlib, for one, where it finds no folder to write to
            raise ClickException(str(error)) from None
        finally:
            if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as `training` has it for a command that starts
                signal.signal(signal.SIGINT, lambda number, _frame: sys.exit(128 + number))


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


def _restore_defaults() -> None:
    """Take back what a notebook may have set in libraries that it imported before; refuse Keras with another backend.

    What files and the environment say is left out already, by `training/__init__.py`.
    """
    if keras := sys.modules.get("keras"):
        if keras.config.backend() != "tensorflow":
            raise UsageError(
                f"Keras has been imported with the backend {keras.config.backend()}, which it keeps. Import training "
                "before keras, or set the environment variable KERAS_BACKEND to tensorflow."
            )
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
        keras.config.set_epsilon(1e-7)
        keras.config.set_image_data_format("channels_last")
    if tf := sys.modules.get("tensorflow"):
        tf.config.optimizer.set_experimental_options(
            {"auto_mixed_precision": False, "auto_mixed_precision_onednn_bfloat16": False}
        )
    if numpy := sys.modules.get("numpy"):
        numpy.seterr(divide="warn", over="warn", under="ignore", invalid="warn")  # as it is imported
