"""Stage 2: shards in, a generator of faces out.

oneDNN's kernels are on, unless the environment says otherwise: TensorFlow turns them on where the CPU has AVX-512 VNNI
or newer instructions alone, and without them a CPU with AVX2 trains at a third of its speed and has no gradient of a
grouped convolution. TensorFlow reads the variable when it is imported, which every command does after this module.
"""

import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
