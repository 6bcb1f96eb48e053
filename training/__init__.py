"""Stage 2: shards in, a generator of faces out.

oneDNN's kernels are on, unless the environment says otherwise: TensorFlow turns them on where the CPU has AVX-512 VNNI
or newer instructions alone, and without them a CPU with AVX2 trains at a third of its speed and has no gradient of a
grouped convolution. TensorFlow reads the variable when it is imported, which every command does after this module.
"""

import os
import signal
import sys

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

if sys.argv[:1] == ["-m"]:  # a command of this package is being started
    # Until it listens to Ctrl-C itself there is nothing to lose, and no traceback of half an import to be read.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
