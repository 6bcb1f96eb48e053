"""A batch of images as one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from system.files import replacing

MIN_FONT, MAX_FONT = 6, 14
"""Height of captions in pixels."""
FONT_WIDTH = 0.6
"""Width of a letter of Pillow's own font, as a share of its height."""


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


def captioned(rows: np.ndarray, captions: Sequence[str]) -> np.ndarray:
    """Arrange rows of images below the captions of their columns.

    Args:
        rows: uint8 [rows, columns, height, width, channels].
        captions: a text for each column, perhaps of several lines.

    Returns:
        uint8 [height of the captions + rows * height, columns * width, channels].
    """
    count, columns, height, width, channels = rows.shape
    lines = max(caption.count("\n") for caption in captions) + 1
    longest = max((line for caption in captions for line in caption.splitlines()), key=len)
    size = max(MIN_FONT, min(MAX_FONT, int(width / (FONT_WIDTH * len(longest)))))
    heading = Image.new("L", (columns * width, lines * (size + 2) + 4))
    drawing, font = ImageDraw.Draw(heading), ImageFont.load_default(size)
    for column, caption in enumerate(captions):
        for line, text in enumerate(caption.splitlines()):
            place = (column * width + width // 2, 2 + line * (size + 2))
            drawing.text(place, text, fill=255, font=font, anchor="ma")
    pixels = np.repeat(np.asarray(heading)[:, :, None], channels, axis=2)
    return np.concatenate([pixels, rows.swapaxes(1, 2).reshape(count * height, columns * width, channels)])


def to_pixels(images: np.ndarray) -> np.ndarray:
    """Convert float images in [0, 1] to uint8, rounded; values outside are clipped."""
    return np.rint(np.clip(images, 0.0, 1.0) * 255.0).astype(np.uint8)


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write uint8 [height, width, 1 or 3] as a PNG."""
    with replacing(path) as partial:
        Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(partial, format="PNG")
