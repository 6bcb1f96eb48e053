"""Draw sheets of faces mixed with photos, on which a person marks the broken ones: python -m training.sheets."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from click import UsageError
from PIL import Image, ImageDraw, ImageFont

from system.command import LocalPath
from system.files import sha256_of, write_json, write_text
from training import config as configs
from training.batch import ImageShape
from training.command import Command, startup_messages_hidden
from training.config import Config
from training.data.shards import ShardSet
from training.options import SEED, FindShards, check_writable, shards_options

PHOTOS = "photos"  # the source of the photos, beside those of faces
MARKS = "marks.txt"

# A sheet: rows and columns, and in pixels the least side of an image, the black around it, and the height of numbers.
GRID = 6
MIN_SIDE = 160
GAP, FONT = 12, 20

FORM = """\
# Write down the numbers of the images that are broken, of all sheets, separated by spaces: their parts do not make one
# face. Halves that do not meet, an eye, nose or mouth that is missing, doubled or out of place, hair or background
# that runs into the face. What is blurred, pale, hidden by a hand or a hat, or cut off by the edge is not broken.
# Numbers that you cannot decide on are doubtful. Look at each image for as long as at the others.
sheets: {digest}
judge:
broken:
doubtful:
"""


@dataclass(frozen=True)
class Source:
    """Where some of the images on the sheets are from."""

    name: str  # of a run, of a picture, or PHOTOS
    # Of a run its generator's digest and the seed, of a picture its SHA-256, of photos the shards' fingerprint and the
    # photos' ids.
    origin: dict[str, Any]
    numbers: tuple[int, ...]  # on the sheets, from 1: of a run's first face, its second, …


@dataclass(frozen=True)
class Key:
    """Which image on the sheets is from where."""

    sources: tuple[Source, ...]

    @property
    def digest(self) -> str:
        """By which marks name their sheets. The order is random, so it gives nothing away."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:8]


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one source, before they are shuffled."""

    name: str
    origin: dict[str, Any]
    pixels: np.ndarray  # uint8 [count, height, width, channels]


@click.command(cls=Command)
@click.option(
    "--run",
    "folders",
    type=LocalPath(path_type=Path),
    multiple=True,
    show_default="none",
    help="A run's folder. Give it again for further runs.",
)
@click.option(
    "--faces",
    "pictures",
    type=LocalPath(path_type=Path, dir_okay=False),
    multiple=True,
    show_default="none",
    help="A PNG of explore.sample, for a generator that is not kept. May be given again too.",
)
@shards_options
@click.option("--count", type=click.IntRange(1, 10_000), default=100, help="Faces of each run, and of a PNG at most.")
@click.option(
    "--photos",
    type=click.IntRange(min=1),
    help="Held-out photos, at most.  [default: as many as --count]",
)
@click.option("--seed", type=SEED, default=0, help="Seed of the faces, and of the choice of photos.")
@click.option("--out", type=LocalPath(path_type=Path, file_okay=False), default="sheets", help="Folder of the sheets.")
@click.option(
    "--key",
    "key_path",
    type=LocalPath(path_type=Path, dir_okay=False),
    help="The JSON that says which number is what.  [default: OUT-key.json, beside the folder]",
)
def main(
    folders: tuple[Path, ...],
    pictures: tuple[Path, ...],
    find_shards: FindShards,
    count: int,
    photos: int | None,
    seed: int,
    out: Path,
    key_path: Path | None,
) -> None:
    """Draw sheets of faces mixed with held-out photos, on which a person marks the broken ones.

    The order is another one each time, and only the key knows it. Give the folder to whoever judges, and not the key.
    training.marks counts what they wrote in marks.txt there.
    """
    named = out if out.name else out.absolute()  # "." has no name
    key_path = key_path or named.with_name(f"{named.name}-key.json")
    check_names([*map(str, folders), *map(str, pictures), PHOTOS])
    check_new(out, key_path)
    runs = [configs.load_with_generator(folder)[0] for folder in folders]
    shards = find_shards(None)
    held_out = held_out_photos(shards, runs)
    drawn = [images_of_picture(picture, held_out.image_shape, count) for picture in pictures]

    with startup_messages_hidden():
        drawn += [images_of_run(folder, count, seed) for folder in folders]
        drawn += [images_of_photos(held_out, photos or count, seed)]
    key, pixels = shuffled(drawn, np.random.default_rng())
    check_new(out, key_path)  # again: the same command may have been given twice
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".partial-", dir=out) as place:  # all of it is there, or nothing
        sheets = write_sheets(Path(place), pixels, key.digest)
        write_text(Path(place, MARKS), FORM.format(digest=key.digest))
        write_json(key_path, asdict(key))
        for file in Path(place).iterdir():
            file.rename(out / file.name)
    for folder, config in zip(folders, runs, strict=True):
        if is_of_others(config, shards):
            print(f"{folder} was trained on other shards: it may know the photos on the sheets.")
    parts = ", ".join(f"{len(source.numbers)} of {source.name}" for source in key.sources)
    print(f"{out}: {sheets} sheets, {key.digest}, of {len(pixels)} images: {parts}.")
    print(f"{key_path}: which is which. Keep it from whoever writes the broken ones down in {out / MARKS}, then:")
    print(f"python -m training.marks --key {shlex.quote(str(key_path))} --marks {shlex.quote(str(out / MARKS))}")


def check_names(names: list[str]) -> None:
    """Raise UsageError where there are no faces, or two sources have one name."""
    if len(names) == 1:
        raise UsageError("There are no faces to judge: give --run, --faces, or several of them.")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"Two sources of images are called {twice[0]}: name each once, and none of them {PHOTOS!r}.")


def check_new(out: Path, key: Path) -> None:
    """Raise UsageError where there are sheets or a key already, or the key would be seen beside the sheets."""
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty, and sheets are never mixed: choose another --out, or remove it.")
    if key.exists():
        raise UsageError(f"{key} is there already, and without it its sheets are lost: choose another --key.")
    if os.path.realpath(key.parent) == os.path.realpath(out):  # unlike Path.resolve they take links that form a loop
        raise UsageError(f"{key} would be seen by whoever judges the sheets in {out}: choose another --key.")
    check_writable(key, "choose another --key")


def is_of_others(config: Config, shards: ShardSet) -> bool:
    """Return whether a run was trained on other photos than these shards have; not where none have its split."""
    photos = shards.divide(config.train_on)[0].first(config.photos)
    return photos.count > 0 and photos.fingerprint != config.data


def held_out_photos(shards: ShardSet, runs: list[Config]) -> ShardSet:
    """Return the photos that no run was trained on, without runs those of all splits but train."""
    for config in runs:
        configs.check_shards_fit_run(config, shards.image_shape)
    held_out = shards
    for train_on in {config.train_on for config in runs} or {"train"}:
        held_out = held_out.divide(train_on)[1]
    if not held_out.count:
        raise UsageError(
            f"All photos of {', '.join(sorted(shards.splits))} shards were trained on, and held-out ones are needed to "
            "judge faces beside: give --shards others too."
        )
    return held_out


def images_of_run(folder: Path, count: int, seed: int) -> Images:
    """Draw the first faces of a seed, those of explore.sample."""
    from training import draw

    config, path = configs.load_with_generator(folder)
    labels = draw.labels_of(folder, config, count, seed)
    generator, digest = draw.load_with_digest(path)
    faces = draw.faces(generator, count, seed, config.method.latent_distribution, labels)
    return Images(str(folder), {"generator": digest, "seed": seed}, faces)


def images_of_picture(path: Path, image_shape: ImageShape, count: int) -> Images:
    """Return the first faces of a grid without captions; raise UsageError where it holds no images of this shape."""
    height, width, channels = image_shape
    try:
        with Image.open(path) as opened:
            picture = np.atleast_3d(np.asarray(opened.convert()))  # from a palette to colours
    except Exception as error:  # decoders meet damaged bytes with OSError, SyntaxError, ValueError and more
        raise UsageError(f"{path} cannot be read ({error}). Give --faces a PNG of explore.sample.") from None
    rows, columns = picture.shape[0] // height, picture.shape[1] // width
    if picture.dtype != np.uint8 or picture.shape != (rows * height, columns * width, channels):
        raise UsageError(
            f"{path} is no grid of faces of {height}x{width}x{channels} (height, width, channels), as the shards hold. "
            "Give --faces a PNG of explore.sample without --each and --strip."
        )
    cells = picture.reshape(rows, height, columns, width, channels).swapaxes(1, 2).reshape(-1, *image_shape)
    faces = cells[cells.any(axis=(1, 2, 3))]  # unused cells are black
    if not len(faces):
        raise UsageError(f"{path} is black. Give --faces a PNG of explore.sample.")
    return Images(str(path), {"sha256": sha256_of(path)}, faces[:count])


def images_of_photos(shards: ShardSet, count: int, seed: int) -> Images:
    """Return photos chosen at random."""
    from training.data.reading import read_ids
    from training.metrics.space import read_rows

    rows = np.sort(np.random.default_rng(seed).choice(shards.count, min(count, shards.count), replace=False))
    ids = read_ids(shards)
    return Images(PHOTOS, {"data": shards.fingerprint, "ids": [ids[row] for row in rows]}, read_rows(shards, rows))


def shuffled(drawn: Iterable[Images], random: np.random.Generator) -> tuple[Key, np.ndarray]:
    """Return the key, and all images in the order of their numbers: uint8 [count, height, width, channels]."""
    drawn = list(drawn)
    pixels = np.concatenate([images.pixels for images in drawn])
    numbers = random.permutation(len(pixels))
    ends = np.cumsum([len(images.pixels) for images in drawn])[:-1]
    sources = [
        Source(images.name, images.origin, tuple((own + 1).tolist()))
        for images, own in zip(drawn, np.split(numbers, ends), strict=True)
    ]
    return Key(tuple(sources)), pixels[np.argsort(numbers)]


def write_sheets(out: Path, pixels: np.ndarray, digest: str) -> int:
    """Write sheet-01.png, … and return how many."""
    from training import draw

    size = GRID * GRID
    count = math.ceil(len(pixels) / size)
    for index in range(count):
        title = f"Sheet {index + 1} of {count}, {digest}"
        picture = sheet(pixels[index * size : (index + 1) * size], index * size + 1, title)
        draw.write_png(out / f"sheet-{index + 1:02}.png", picture)
    return count


def sheet(images: np.ndarray, first: int, title: str) -> np.ndarray:
    """Return images below their numbers, from `first` on: uint8 [height, width, channels], white on black.

    All are enlarged in one way, by a whole number.
    """
    count, height, width, channels = images.shape
    scale = math.ceil(MIN_SIDE / height)
    cell_height, cell_width = GAP + FONT + height * scale, GAP + width * scale
    size = (GRID * cell_width + GAP, GAP + FONT + math.ceil(count / GRID) * cell_height + GAP)
    picture = Image.new("RGB" if channels == 3 else "L", size)
    drawing, font = ImageDraw.Draw(picture), ImageFont.load_default(FONT)
    drawing.text((GAP, GAP), title, fill="white", font=font, anchor="lt")
    for index, pixels in enumerate(images):
        left, bottom = GAP + index % GRID * cell_width, GAP + FONT + (index // GRID + 1) * cell_height
        image = Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels)
        larger = image.resize((width * scale, height * scale), Image.Resampling.BICUBIC)
        picture.paste(larger, (left, bottom - larger.height))
        drawing.text((left, bottom - larger.height - 4), str(first + index), fill="white", font=font, anchor="ls")
    return np.atleast_3d(np.asarray(picture))


if __name__ == "__main__":
    main()
