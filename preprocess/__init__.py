"""Stage 1: photos in, shards of 64x64 grey faces out. Never imports TensorFlow."""

import signal
import sys

import system  # noqa: F401  # refuses Windows

if sys.argv[:1] == ["-m"]:  # a command of this package is starting
    # Until main() handles Ctrl-C: no traceback from half an import.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    from system.console import secure_streams

    secure_streams()
