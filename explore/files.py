"""Faces as files, for programs that score them: a PNG for each in a folder, or one array. A batch is in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np
from click import UsageError
from PIL import Image

from system.files import PARTIAL, remove, replacing
from training.options import check_writable

MAX_FACES = 1_000_000  # names have six digits
MAX_IN_GRID = 65_536  # of 64x64 they are 16,384 pixels a side: few programs open larger pictures
GRID, ARRAY = ".png", ".npz"  # endings of the files that hold all faces; any other --out is a folder
OTHERS = (".npy", ".zip", ".tar", ".html", ".mp4")  # endings of files that nobody gives a folder, beside pictures'


def name_of(seed: int, index: int) -> str:
    """Return the file name of a face, which sorts by its index: the row of its z in the table of the seed, from 0."""
    return f"{seed}-{index:06d}.png"


def check(out: Path, seed: int, count: int) -> None:
    """Raise UsageError where these faces cannot be written: as a grid, an array, or in a folder of no other things.

    What an earlier command left in the folder under the same names is replaced.
    """
    if out.suffix.lower() == GRID and count > MAX_IN_GRID:
        raise UsageError(
            f"{out}: {count:,} faces are too many for one picture: choose fewer, or a folder or a {ARRAY} for --out."
        )
    if out.suffix.lower() in (GRID, ARRAY):
        return check_writable(out)
    if out.suffix.lower() in (*Image.registered_extensions(), *OTHERS):
        raise UsageError(f"{out}: a grid of faces is a {GRID}, an array of them a {ARRAY}, and a folder has no ending.")
    if not os.path.lexists(out):
        return check_writable(out)
    if not out.is_dir():
        raise UsageError(
            f"{out} is no folder, and faces go into a folder, a {GRID} or a {ARRAY}: choose another --out."
        )
    names = {name_of(seed, index) for index in range(count)}
    if others := sorted(path.name for path in out.iterdir() if path.name not in names and not path.match(PARTIAL)):
        raise UsageError(
            f"{out} holds other things than these faces, such as {others[0]}, and who reads the folder would take them "
            "for faces: choose another --out."
        )
    check_writable(out / name_of(seed, 0))


def write_pictures(folder: Path, seed: int, batches: Iterable[np.ndarray]) -> None:
    """Write each face of the batches, uint8 [at most BATCH, height, width, channels], as a PNG of its own."""
    from training import draw

    folder.mkdir(exist_ok=True)
    for leftover in folder.glob(PARTIAL):  # of a command that was killed while it wrote
        remove(leftover)
    for index, face in enumerate(chain.from_iterable(batches)):
        with replacing(folder / name_of(seed, index), is_synced=False) as partial:
            draw.to_image(face).save(partial, "PNG")
    os.sync()  # once for all: with a sync for each, 90 faces a second are written in place of 600


def write_array(
    path: Path, shape: tuple[int, ...], batches: Iterable[np.ndarray], others: Mapping[str, np.ndarray]
) -> None:
    """Write an .npz with "faces", uint8 of this shape, which the batches make up in order, and with other arrays."""
    with replacing(path) as partial, ZipFile(partial, "w") as archive:
        with archive.open(ZipInfo("faces.npy"), "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            for batch in batches:
                member.write(batch.tobytes())
        for name, values in others.items():
            with archive.open(ZipInfo(f"{name}.npy"), "w") as member:
                np.lib.format.write_array(member, values)
