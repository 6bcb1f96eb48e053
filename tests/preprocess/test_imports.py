"""Stage 1 works where TensorFlow is not installed; its workers do not even need numpy."""

import pkgutil
import subprocess
import sys

import preprocess

BLOCKED = """
import importlib, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
for name in {modules}:
    importlib.import_module(name)
assert not {blocked} & set(sys.modules)
"""


def import_without(blocked: set[str], modules: list[str]) -> None:
    program = BLOCKED.format(blocked=blocked, modules=modules)
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_module_imports_tensorflow():
    modules = [f"preprocess.{module.name}" for module in pkgutil.iter_modules(preprocess.__path__)]
    assert "preprocess.run" in modules
    import_without({"tensorflow", "tensorflow_datasets", "tensorboard", "keras"}, modules)


def test_workers_import_neither_numpy_nor_the_progress_bar():
    import_without({"tensorflow", "numpy", "tqdm"}, ["preprocess.run", "preprocess.shard", "preprocess.workers.local"])
