"""Stage 1: photos in, shards of 64x64 grey faces out. Never imports TensorFlow."""

import signal
import sys

if sys.argv[:1] == ["-m"]:  # a command of this package is being started
    # Until it listens to Ctrl-C itself there is nothing to lose, and no traceback of half an import to be read.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    from system.console import secure_streams

    secure_streams()
