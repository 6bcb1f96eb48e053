"""Draw faces with the generator of a run: python -m explore.sample."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from pathlib import Path

import click
import numpy as np
from click import UsageError
from PIL import Image, ImageDraw, ImageFont

from explore import files
from explore.attributes import NamedValues, labels_to_ask, set_option
from explore.directions import directions
from explore.directions.directions import Directions
from explore.letters import can_show, font_path
from system.command import LocalPath
from training import config as configs
from training.command import Command, startup_messages_hidden
from training.data.labels import LabelFrequencies
from training.options import SEED, NameList, Number, best_of_option, run_option, truncation_option

FACES, ROWS = 64, 8
MAX_COLUMNS = 64  # of --each: six attributes
STRENGTHS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # columns of --strip

# Of captions: the height of letters in pixels, and about their width as a share of it.
MIN_FONT, MAX_FONT = 6, 14
FONT_WIDTH = 0.6


@click.command(cls=Command)
@run_option
@click.option(
    "--count",
    type=click.IntRange(1, files.MAX_FACES),
    help=f"Number of faces, with --each and --strip of rows.  [default: {FACES}, {ROWS}]",
)
@click.option("--seed", type=SEED, default=0, help="Seed of the faces.")
@best_of_option
@truncation_option
@set_option
@click.option(
    "--each",
    type=NameList(),
    default="",
    show_default="none",
    help="Draw each face with and without these attributes, one face a row: Smiling,Eyeglasses. Of attributes from "
    "folders, such as cats,dogs, one at a time. For runs with --condition.",
)
@click.option(
    "--edit",
    type=NamedValues("NAME=NUMBER", Number(-100, 100)),
    default={},
    show_default="none",
    help="Move the faces along directions of explore.directions: Smiling=+2,Male=-1. At 3 most faces have changed.",
)
@click.option(
    "--strip",
    metavar="NAME",
    help=f"Move each face along a direction, one face a row, by {STRENGTHS[0]:+g} to {STRENGTHS[-1]:+g}: Smiling.",
)
@click.option(
    "--out",
    type=LocalPath(path_type=Path),
    default="faces.png",
    help="A .png for one grid of all faces; a folder, perhaps a new one, for a PNG of each; or an .npz for one array.",
)
def main(
    folder: Path,
    count: int | None,
    seed: int,
    best_of: int,
    truncation: float,
    answers: Mapping[str, bool],
    each: str,
    edit: Mapping[str, float],
    strip: str | None,
    out: Path,
) -> None:
    """Draw faces with the generator of a run: one grid, or files for other programs, of up to a million faces.

    In a folder faces are called SEED-INDEX.png, 0-000000.png the first. An .npz has "faces", uint8 [count, height,
    width, channels], and of a run with --condition "labels", float32 [count, conditions], -1 or 1, and "conditions".
    """
    config, path = configs.load_with_generator(folder)
    names = each.split(",") if each else []
    frequencies = labels_to_ask(folder, config, [*answers, *names])
    given = frequencies.completed(answers) if frequencies else {}
    if twice := [name for name in names if name in given]:
        raise UsageError(f"{twice[0]} is decided by --set and by --each: choose one of them.")
    alternatives = alternatives_of(names, frequencies.exclusive if frequencies else ())
    if (number := prod(map(len, alternatives))) > MAX_COLUMNS:
        raise UsageError(f"{len(names)} attributes of --each make {number:,} columns: {MAX_COLUMNS} are the most.")
    if names and strip:
        raise UsageError("--each and --strip both make the columns: choose one.")
    if (names or strip) and out.suffix.lower() != files.GRID:
        raise UsageError(f"--each and --strip draw one picture, with captions: choose a {files.GRID} for --out.")
    count = count or (ROWS if names or strip else FACES)
    files.check(out, seed, count * number * (len(STRENGTHS) if strip else 1))
    moves = load_directions(folder, [*edit, *([strip] if strip else [])]) if edit or strip else None

    with startup_messages_hidden():
        from training import choosing, draw
        from training.metrics.space import progress

        generator, digest = draw.load_with_digest(path)
    directions.warn_if_outdated(folder, moves, digest)
    distribution = config.method.latent_distribution
    labels = frequencies.draw(count, seed, given) if frequencies else None
    # Chosen before they are moved or get other attributes: a row stays one face.
    z = choosing.latents(generator, count, seed, distribution, best_of, labels, truncation)
    if moves and edit:
        z = moves.edit(z, edit, distribution)
    columns = {}  # faces by caption
    if frequencies and labels is not None and names:
        for caption, asked in labels_of_columns(labels, alternatives, frequencies):
            columns[caption] = draw.render(generator, z, asked)
    elif moves and strip:
        for strength in STRENGTHS:
            moved = moves.edit(z, {strip: strength}, distribution)
            columns[f"{strength:+g}" if strength else "0"] = draw.render(generator, moved, labels)
    chosen = choosing.described(best_of, truncation)
    if columns:
        captions = legible(list(columns), config.image_shape[1])
        draw.write_png(out, captioned(np.stack(list(columns.values()), axis=1), captions))
        print(f"{out}: {count} rows, a face each, with {' and '.join(names) or strip} as captioned{chosen}.")
        for shown, meant in zip(captions, columns, strict=True):
            if shown != meant:
                print(f"Column {shown}: {', '.join(meant.splitlines())}")
        return
    if out.suffix.lower() == files.GRID:
        draw.write_png(out, draw.tile(draw.render(generator, z, labels)))
    else:
        with progress(count, "Faces") as bar:
            faces = draw.batches(generator, z, labels, bar.update)
            if out.suffix.lower() == files.ARRAY:
                labelled = {"labels": labels, "conditions": np.array(config.conditions)} if labels is not None else {}
                files.write_array(out, (count, *config.image_shape), faces, labelled)
            else:
                files.write_pictures(out, seed, faces)
    print(f"{out}: {count:,} faces{chosen}.")


def load_directions(folder: Path, names: Sequence[str]) -> Directions:
    """Return the directions of a run. Raises UsageError where it has none of these names."""
    moves = directions.load(folder)
    if moves is None:
        raise UsageError(f"{folder / directions.FILE_NAME} is not there yet. {directions.advice(folder)}")
    if unknown := [name for name in names if name not in moves.names]:
        raise UsageError(
            f"{folder} has no direction {unknown[0]!r}. Choose one of these by --edit or --strip: "
            f"{', '.join(moves.names)}."
        )
    return moves


def alternatives_of(names: Sequence[str], exclusive: Collection[str]) -> list[list[tuple[str, bool]]]:
    """Return what columns combine: of each attribute both answers, of exclusive ones together which of them holds."""
    alternatives = [[(name, False), (name, True)] for name in names if name not in exclusive]
    classes = [(name, True) for name in names if name in exclusive]
    return [*alternatives, classes] if classes else alternatives


def labels_of_columns(
    labels: np.ndarray, alternatives: Sequence[Sequence[tuple[str, bool]]], frequencies: LabelFrequencies
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the labels with each combination of the alternatives set, behind a caption that says which."""
    for column in map(dict, product(*alternatives)):
        answers = frequencies.completed(column)
        asked = labels.copy()
        asked[:, [frequencies.names.index(name) for name in answers]] = np.where(list(answers.values()), 1.0, -1.0)
        yield "\n".join(f"{name}={answer:d}" for name, answer in column.items()), asked


def legible(captions: Sequence[str], width: int) -> list[str]:
    """Return captions; numbers, where fonts lack their letters, such as Hangul, or columns are too narrow."""
    font = font_of(captions, MIN_FONT)
    lines = [line for caption in captions for line in caption.splitlines()]
    if all(can_show(line) and font.getlength(line) <= width for line in lines):
        return list(captions)
    return [str(number) for number in range(1, len(captions) + 1)]


def font_of(captions: Sequence[str], size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font, which is narrow and has ASCII alone, or one that has more letters."""
    is_ascii = all(map(str.isascii, captions))
    return ImageFont.load_default(size) if is_ascii else ImageFont.truetype(font_path(), size)


def captioned(rows: np.ndarray, captions: Sequence[str]) -> np.ndarray:
    """Arrange rows of images, uint8 [rows, columns, height, width, channels], below the captions of their columns."""
    count, columns, height, width, channels = rows.shape
    lines = max(caption.count("\n") for caption in captions) + 1
    longest = max((line for caption in captions for line in caption.splitlines()), key=len)
    size = max(MIN_FONT, min(MAX_FONT, int(width / (FONT_WIDTH * len(longest)))))
    heading = Image.new("L", (columns * width, lines * (size + 2) + 4))
    drawing, font = ImageDraw.Draw(heading), font_of(captions, size)
    for column, caption in enumerate(captions):
        for line, text in enumerate(caption.splitlines()):
            centre = (column * width + width // 2, 2 + line * (size + 2))
            drawing.text(centre, text, fill=255, font=font, anchor="ma")
    pixels = np.repeat(np.asarray(heading)[:, :, None], channels, axis=2)
    return np.concatenate([pixels, rows.swapaxes(1, 2).reshape(count * height, columns * width, channels)])


if __name__ == "__main__":
    main()
