"""The workers of stage 1 start without packages that they do not need."""

import subprocess
import sys

BLOCKED = """
import importlib, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "numpy", "tqdm"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
for name in ("preprocess.run", "preprocess.shard", "preprocess.workers.local"):
    importlib.import_module(name)
"""


def test_workers_import_neither_numpy_nor_the_progress_bar():
    done = subprocess.run([sys.executable, "-c", BLOCKED], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
