"""The same command gives the same bits in every process: what resuming bit for bit rests on."""

import subprocess
import sys

import numpy as np

from tests.training.runs import weights_in
from tests.training.shards_by_tensorflow import write_shards


def test_two_processes_train_lite_to_the_same_bits(tmp_path):
    """At its own size: grappler's arithmetic pass would add the gradients of penalties in another order by process."""
    images = np.random.default_rng(0).integers(0, 256, (128, 64, 64, 1), dtype=np.uint8)
    write_shards(tmp_path / "data", images, (128,))
    run = [sys.executable, "-m", "training.run", "--shards", tmp_path / "data", "--preset", "lite", "--kimg", "0.128"]
    outs = [tmp_path / name for name in ("first", "second")]
    processes = [subprocess.Popen([*map(str, run), "--out", str(out)], stdout=subprocess.DEVNULL) for out in outs]
    assert [process.wait(300) for process in processes] == [0, 0]
    np.testing.assert_equal(*map(weights_in, outs))
