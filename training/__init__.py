"""Stage 2: shards in, a generator of faces out.

oneDNN's kernels are on, unless the environment says otherwise: TensorFlow turns them on where the CPU has AVX-512 VNNI
or newer instructions alone, and without them a CPU with AVX2 trains at a third of its speed and has no gradient of a
grouped convolution. TensorFlow reads the variable when it is imported, which every command does after this module.
"""

import gc
import os
import signal
import sys

import system  # noqa: F401  # refuses Windows

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ["ONEDNN_DEFAULT_FPMATH_MODE"] = "STRICT"  # float32 is float32: BF16 rounds it before it multiplies
os.environ.pop("TF_SET_ONEDNN_FPMATH_MODE", None)  # TensorFlow's own name for the same

# Keras has its own defaults, on which this package relies, whatever its variables and the user's keras.json say.
for _name in [name for name in os.environ if name.startswith("KERAS_")]:
    del os.environ[_name]
os.environ.update(KERAS_BACKEND="tensorflow", KERAS_HOME=os.devnull)  # a folder that has no keras.json

# TensorFlow's import and the tracing of a step make millions of objects, none of them garbage: with Python's own
# threshold of 700 looking through them is 1.2 of the 12 CPU seconds until a run of `lite` has begun.
gc.set_threshold(100_000, 20, 20)

if sys.argv[:1] == ["-m"]:  # a command of this package is being started
    # Default SIGINT until main() runs: no traceback from half an import.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ["MPLBACKEND"] = "agg"  # commands open no window, and Matplotlib cannot be imported with a wrong name

    from system.console import secure_streams

    secure_streams()
