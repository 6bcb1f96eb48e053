"""Pictures one after the other as one file: .gif, .webp and .png by Pillow, .mp4 by ffmpeg where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
from click import ClickException, UsageError
from PIL import Image

from system.files import replacing
from training.options import check_writable

FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".mp4": "mp4"}


def check_path(path: Path) -> None:
    """Raise UsageError where no animation can be written there."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: an animation is a {', '.join(FORMATS)} file.")
    check_writable(path)
    if path.suffix.lower() == ".mp4" and not shutil.which("ffmpeg"):
        raise UsageError(f"{path}: .mp4 needs ffmpeg, which is not installed. Install it, or choose .webp or .gif.")


def write(path: Path, frames: Iterator[np.ndarray], fps: float, scale: int = 1) -> int:
    """Write frames, which repeat for ever but for .mp4; return how many there were.

    Args:
        path: checked by `check_path`.
        frames: uint8 [height, width, 1 or 3], all of one shape.
        fps: frames per second.
        scale: how many times as large each pixel is drawn.
    """
    form = FORMATS[path.suffix.lower()]
    pictures = [_enlarged(frame, scale) for frame in frames]
    with replacing(path) as partial:
        if form == "mp4":
            _write_mp4(partial, pictures, fps)
        else:
            first, *others = map(Image.fromarray, pictures)
            quality = {"quality": 90} if form == "WEBP" else {}
            durations = milliseconds(len(pictures), fps, 10 if form == "GIF" else 1)
            first.save(partial, form, save_all=True, append_images=others, duration=durations, loop=0, **quality)
    return len(pictures)


def milliseconds(frames: int, fps: float, unit: int) -> list[int]:
    """Return how long each frame is shown, in multiples of `unit` that add up: GIF knows hundredths of a second."""
    ends = [unit * round(1000 * number / fps / unit) for number in range(frames + 1)]
    return [end - begin for begin, end in pairwise(ends)]


def _enlarged(frame: np.ndarray, scale: int) -> np.ndarray:
    large = frame.repeat(scale, axis=0).repeat(scale, axis=1)
    return large[:, :, 0] if large.shape[-1] == 1 else large


def _write_mp4(path: Path, pictures: Sequence[np.ndarray], fps: float) -> None:
    height, width = pictures[0].shape[:2]
    pixels = "gray" if pictures[0].ndim == 2 else "rgb24"
    source = ["-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    # H.264 for every player wants halved colors, which want even sides.
    target = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-f", "mp4", str(path)]
    command = ["ffmpeg", "-y", "-loglevel", "error", *source, *target]
    with (
        tempfile.TemporaryFile(dir=path.parent) as said,
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said) as ffmpeg,
    ):
        with suppress(BrokenPipeError):  # it has ended, and says why
            for picture in pictures:
                ffmpeg.stdin.write(picture.tobytes())
            ffmpeg.stdin.close()
        if ffmpeg.wait():
            said.seek(0)
            raise ClickException(f"ffmpeg failed: {said.read().decode(errors='replace').strip()[:300]}")
