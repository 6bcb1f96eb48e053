"""Animate a walk between faces, or the training of a run: python -m training.walk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import numpy as np
from click import UsageError
from PIL import Image

from system.command import LocalPath
from training import config as configs
from training.command import Command
from training.config import Config
from training.explore import animation, paths
from training.grid import tile
from training.options import SEED, Answers, Number, run_option
from training.quiet import startup_messages_hidden


class Seeds(click.ParamType):
    """Two or more seeds, separated by commas."""

    name = "SEED,SEED,..."

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Validate them."""
        seeds = tuple(SEED.convert(seed, param, ctx) for seed in str(value).split(","))
        if len(seeds) < 2:
            self.fail("a walk needs two seeds or more, such as 1,2,3.", param, ctx)
        return seeds


@click.command(cls=Command)
@run_option
@click.option("--seeds", type=Seeds(), default="0,1,2,3", help="Seeds of the faces to walk between, in this order.")
@click.option("--loop/--no-loop", "is_loop", default=True, help="Walk back to the first face, or end at the last.")
@click.option("--count", type=click.IntRange(min=1), default=1, help="Faces that walk at once, in a grid.")
@click.option("--seconds", type=Number(0, min_open=True), default=2.0, help="Seconds from one face to the next.")
@click.option("--fps", type=Number(0.1, 50), default=20.0, help="Frames per second.")
@click.option("--scale", type=click.IntRange(1, 16), default=2, help="Screen pixels per pixel of a face.")
@click.option(
    "--set",
    "given",
    type=Answers(),
    default={},
    show_default="none",
    help="For runs with --condition: attributes that the faces have (1) or do not have (0) on the whole walk.",
)
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
    help=f"The file to write: {', '.join(animation.FORMATS)}. .mp4 needs ffmpeg.",
)
def main(
    folder: Path,
    seeds: tuple[int, ...],
    is_loop: bool,
    count: int,
    seconds: float,
    fps: float,
    scale: int,
    given: Mapping[str, bool],
    of_training: bool,
    out: Path,
) -> None:
    """Animate a walk between the faces of a run."""
    animation.check_path(out)
    if of_training:
        number = animation.write(out, samples_of(folder), fps, scale)
        print(f"{out}: {number} frames, one for each grid in {folder / 'samples'}.")
        return
    config, path = configs.load_with_generator(folder)
    configs.check_conditions(folder, config, given)
    frames = faces_along(folder, config, path, seeds, is_loop, count, max(1, round(seconds * fps)), given)
    number = animation.write(out, frames, fps, scale)
    print(f"{out}: {number} frames, {number / fps:.3g} s.")


def samples_of(folder: Path) -> Iterator[np.ndarray]:
    """Yield the grids that a run has drawn, epoch after epoch: uint8 [height, width, 1 or 3].

    Raises:
        UsageError: there are none.
    """
    found = sorted((folder / "samples").glob("epoch-*.png"))
    if not found:
        raise UsageError(f"{folder / 'samples'} has no samples: a run draws them at the end of each epoch.")
    for path in found:
        pixels = np.asarray(Image.open(path))
        yield pixels[:, :, None] if pixels.ndim == 2 else pixels


def faces_along(
    folder: Path,
    config: Config,
    path: Path,
    seeds: tuple[int, ...],
    is_loop: bool,
    count: int,
    frames: int,
    given: Mapping[str, bool],
) -> Iterator[np.ndarray]:
    """Yield the frames of a walk: uint8 [height, width, 1 or 3]; `frames` is the number of each leg."""
    with startup_messages_hidden():
        from tqdm import tqdm

        from training import draw

        generator = draw.load(path)
    distribution = config.method.latent_distribution
    stops = np.stack([draw.latents(generator, count, seed, distribution) for seed in seeds])
    rows = draw.labels_of(folder, config, count, seeds[0], given)
    for z in tqdm(paths.walk(stops, frames, distribution, is_loop), unit=" frames", disable=None):
        yield tile(draw.render(generator, z, rows))


if __name__ == "__main__":
    main()
