"""A batch of images as one picture."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image

from training.files import replacing


def tile(images: np.ndarray) -> np.ndarray:
    """Arrange images in the squarest grid, row by row; unused cells are black.

    Args:
        images: [count, height, width, channels], any dtype.

    Returns:
        [rows * height, columns * width, channels], of the same dtype.
    """
    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    cells = np.zeros((rows * columns, height, width, channels), images.dtype)
    cells[:count] = images
    return (
        cells.reshape(rows, columns, height, width, channels)
        .swapaxes(1, 2)
        .reshape(rows * height, columns * width, channels)
    )


def to_pixels(images: np.ndarray) -> np.ndarray:
    """Convert float images in [0, 1] to uint8, rounded; values outside are clipped."""
    return np.rint(np.clip(images, 0.0, 1.0) * 255.0).astype(np.uint8)


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write uint8 [height, width, 1 or 3] as a PNG."""
    with replacing(path) as partial:
        Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(partial, format="PNG")
