"""Animate a walk between faces, or the training of a run: python -m explore.walk."""

from __future__ import annotations

import math
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
from click import ClickException, UsageError
from PIL import Image

from explore.attributes import labels_to_ask, set_option
from system.command import LocalPath, Number
from system.files import replacing
from training import config as configs
from training.command import Command, startup_messages_hidden
from training.options import SEED, check_writable, run_option, truncation_option

MAX_SIDE = 16_383  # of a frame in pixels, as WebP has it
MAX_BYTES = 4e9  # of all frames, which are in memory until they are written
FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".mp4": "mp4"}  # by Pillow; .mp4 by ffmpeg


class Seeds(click.ParamType):
    """Two or more seeds, separated by commas."""

    name = "SEED,SEED,..."

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Validate them."""
        seeds = tuple(SEED(seed, param, ctx) for seed in str(value).split(","))
        if len(seeds) < 2:
            self.fail("a walk needs two seeds or more, such as 1,2,3.", param, ctx)
        return seeds


@click.command(cls=Command)
@run_option
@click.option("--seeds", type=Seeds(), default="0,1,2,3", help="Seeds of the faces to walk between, in this order.")
@click.option("--loop/--no-loop", "is_loop", default=True, help="Walk back to the first face, or end at the last.")
@click.option("--count", type=click.IntRange(min=1), default=1, help="Faces that walk at once, in a grid.")
@click.option("--seconds", type=Number(0, 3600, min_open=True), default=2.0, help="Seconds from one face to the next.")
@click.option("--fps", type=Number(0.1, 50), default=20.0, help="Frames per second.")
@click.option("--scale", type=click.IntRange(1, 16), default=2, help="Screen pixels per pixel of a face.")
@truncation_option
@set_option
@click.option(
    "--training",
    "of_training",
    is_flag=True,
    help="Animate the samples that the run drew while it trained, a frame for each epoch, instead of a walk.",
)
@click.option(
    "--out",
    type=LocalPath(path_type=Path, dir_okay=False),
    default="walk.gif",
    help=f"The file to write: {', '.join(FORMATS)}. .mp4 needs ffmpeg.",
)
def main(
    folder: Path,
    seeds: tuple[int, ...],
    is_loop: bool,
    count: int,
    seconds: float,
    fps: float,
    scale: int,
    truncation: float,
    answers: Mapping[str, bool],
    of_training: bool,
    out: Path,
) -> None:
    """Animate a walk between the faces of a run."""
    check_animation(out)
    config, path = configs.load_with_generator(folder)
    if of_training:
        grids = samples_of(folder)
        with Image.open(grids[0]) as first:
            check_size(len(grids), 1, (first.height, first.width, len(first.getbands())), scale)
        number = write_animation(out, (np.asarray(Image.open(grid)) for grid in grids), fps, scale)
        print(f"{out}: {number} frames, one for each grid in {folder / 'samples'}.")
        return
    frequencies = labels_to_ask(folder, config, answers)
    given = frequencies.completed(answers) if frequencies else {}
    frames_each = max(1, round(seconds * fps))
    check_size(frames_each * len(seeds), count, config.image_shape, scale)
    with startup_messages_hidden():
        from tqdm import tqdm

        from training import draw

        generator = draw.load(path)
    distribution = config.method.latent_distribution
    stops = np.stack([draw.latents(generator, count, seed, distribution, truncation) for seed in seeds])
    walk = latents_along(stops, frames_each, distribution, is_loop)
    labels = frequencies.draw(count, seeds[0], given) if frequencies else None
    frames = (draw.tile(draw.render(generator, z, labels)) for z in tqdm(walk, unit=" frames", disable=None))
    number = write_animation(out, frames, fps, scale)
    print(f"{out}: {number} frames, {number / fps:.3g} s.")


def samples_of(folder: Path) -> list[Path]:
    """Return the grids that a run has drawn, epoch after epoch."""
    paths = sorted((folder / "samples").glob("epoch-*.png"))
    if not paths:
        raise UsageError(f"{folder / 'samples'} has no samples: a run draws them at the end of each epoch.")
    return paths


def latents_along(stops: np.ndarray, frames: int, distribution: str, is_loop: bool) -> np.ndarray:
    """Return the z of a walk from stop to stop: float32 [legs * frames, faces, size], and the last stop where it ends.

    Each leg begins and ends slowly, along half a cosine. A loop has a leg from the last stop back to the first, and
    its last frame is the one before the first.

    Args:
        stops: z, float32 [stops, faces, size], two or more.
        frames: of each leg.
        distribution: "normal" z are interpolated along a sphere, as in Shoemake 1985, since a straight line would pass
            through z that are shorter than any that the generator was trained on; "uniform" ones along a line, which
            stays in their cube.
        is_loop: whether it ends where it began.
    """
    shares = (1 - np.cos(np.pi * np.arange(frames) / frames)) / 2
    ends = np.roll(stops, -1, axis=0) if is_loop else stops[1:]
    legs = [_between(*pair, share, distribution) for pair in zip(stops, ends, strict=False) for share in shares]
    return np.stack(legs if is_loop else [*legs, stops[-1]]).astype(np.float32)


def _between(start: np.ndarray, end: np.ndarray, share: float, distribution: str) -> np.ndarray:
    line = start + share * (end - start)
    if distribution == "uniform":
        return line
    lengths = [np.linalg.norm(z, axis=-1, keepdims=True) for z in (start, end)]
    cosine = (start * end).sum(axis=-1, keepdims=True) / np.maximum(lengths[0] * lengths[1], 1e-12)
    angle = np.arccos(np.clip(cosine, -1, 1))
    sine = np.sin(angle)
    arc = (np.sin((1 - share) * angle) * start + np.sin(share * angle) * end) / np.maximum(sine, 1e-6)
    return np.where(sine < 1e-6, line, arc)  # between z of the same direction the line is the arc


def check_animation(path: Path) -> None:
    """Raise UsageError where no animation can be written there."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: an animation is a {', '.join(FORMATS)} file.")
    check_writable(path)
    if path.suffix.lower() == ".mp4" and not shutil.which("ffmpeg"):
        raise UsageError(f"{path}: .mp4 needs ffmpeg, which is not installed. Install it, or choose .webp or .gif.")


def check_size(frames: int, count: int, image_shape: tuple[int, int, int], scale: int) -> None:
    """Raise UsageError where so many frames, each with `count` faces of this shape in a grid, are too large."""
    height, width, channels = image_shape
    side = math.ceil(math.sqrt(count)) * max(height, width) * scale
    if side > MAX_SIDE or frames * side**2 * channels > MAX_BYTES:
        raise UsageError(
            f"{frames:,} frames of {side:,} pixels a side are too large: at most {MAX_SIDE:,} pixels, and "
            f"{MAX_BYTES / 1e9:g} GB for all frames. Use less of --count, --scale, --seconds, --fps or --seeds."
        )


def write_animation(path: Path, frames: Iterator[np.ndarray], fps: float, scale: int = 1) -> int:
    """Write frames, which repeat for ever but for .mp4; return how many there were.

    Args:
        path: checked by `check_animation`.
        frames: uint8 [height, width] or [height, width, 1 or 3], all of one shape.
        fps: frames per second.
        scale: how many times as large each pixel is drawn.
    """
    form = FORMATS[path.suffix.lower()]
    frames = (frame.repeat(scale, axis=0).repeat(scale, axis=1) for frame in frames)
    pictures = [frame.squeeze(-1) if frame.shape[-1] == 1 else frame for frame in frames]
    with replacing(path) as partial:
        if form == "mp4":
            _write_mp4(partial, pictures, fps)
        else:
            first, *rest = map(Image.fromarray, pictures)
            quality = {"quality": 90} if form == "WEBP" else {}
            durations = milliseconds(len(pictures), fps, 10 if form == "GIF" else 1)
            first.save(partial, form, save_all=True, append_images=rest, duration=durations, loop=0, **quality)
    return len(pictures)


def milliseconds(frames: int, fps: float, unit: int) -> list[int]:
    """Return how long each frame is shown, in multiples of `unit` that add up: GIF knows hundredths of a second."""
    ends = [unit * round(1000 * number / fps / unit) for number in range(frames + 1)]
    return [end - begin for begin, end in pairwise(ends)]


def _write_mp4(path: Path, pictures: Sequence[np.ndarray], fps: float) -> None:
    height, width = pictures[0].shape[:2]
    pixels = "gray" if pictures[0].ndim == 2 else "rgb24"
    source = ["-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    # H.264 for every player has colour at half the resolution, which needs even sides.
    target = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-f", "mp4", f"file:{path}"]
    command = ["ffmpeg", "-y", "-loglevel", "error", *source, *target]
    frames = b"".join(picture.tobytes() for picture in pictures)
    ffmpeg = subprocess.run(command, input=frames, stderr=subprocess.PIPE, check=False)
    if ffmpeg.returncode:
        raise ClickException(f"ffmpeg failed: {ffmpeg.stderr.decode(errors='replace').strip()[:300]}")


if __name__ == "__main__":
    main()
