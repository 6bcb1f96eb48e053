"""Networks as .keras files."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile, ZipInfo

import keras

from system.files import replacing


def write_model(path: Path, model: keras.Model) -> None:
    """Write a .keras file as `model.save` does, whatever the clock says: a zip, as Keras dates it, begins in 1980."""
    with replacing(path) as partial, TemporaryDirectory(prefix=".partial-", dir=path.parent) as folder:
        model.save(folder, zipped=False)
        with ZipFile(partial, "w") as archive:
            for part in sorted(Path(folder).glob("*.*")):
                archive.writestr(ZipInfo(part.name), part.read_bytes())
