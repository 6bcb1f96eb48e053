"""Draw faces with the generator of a run: python -m training.sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from click import UsageError

from system.command import LocalPath
from training import config as configs
from training.command import Command
from training.explore import directions
from training.explore.directions import Directions
from training.grid import captioned, tile, write_png
from training.options import SEED, Answers, NameList, Strengths, check_writable, run_option
from training.quiet import startup_messages_hidden

FACES, ROWS = 64, 8
MAX_EACH = 6
"""Attributes of --each: 64 columns."""
STRENGTHS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
"""Columns of --strip."""


class Column(NamedTuple):
    """What the faces of one column of the grid are drawn from."""

    caption: str
    z: np.ndarray
    """float32 [faces, length of z]."""
    labels: np.ndarray | None
    """float32 [faces, conditions], -1 or 1."""


@click.command(cls=Command)
@run_option
@click.option(
    "--count",
    type=click.IntRange(min=1),
    help=f"Number of faces, with --each and --strip of rows.  [default: {FACES}, {ROWS}]",
)
@click.option("--seed", type=SEED, default=0, help="Seed of the faces.")
@click.option(
    "--set",
    "given",
    type=Answers(),
    default={},
    show_default="none",
    help="Attributes that all faces have (1) or do not have (0): Smiling=1,Male=0. For runs with --condition; what is "
    "not set is drawn as often as it is found among the photos.",
)
@click.option(
    "--each",
    type=NameList(),
    default="",
    show_default="none",
    help="Draw each face with and without these attributes, one face a row: Smiling,Eyeglasses. For runs with "
    "--condition.",
)
@click.option(
    "--edit",
    type=Strengths(),
    default={},
    show_default="none",
    help="Move the faces along directions of training.directions; at 3 most have changed: Smiling=+2,Male=-1.",
)
@click.option(
    "--strip",
    metavar="NAME",
    help=f"Move each face along a direction, one face a row, by {STRENGTHS[0]:+g} to {STRENGTHS[-1]:+g}: Smiling.",
)
@click.option("--out", type=LocalPath(path_type=Path, dir_okay=False), default="faces.png", help="The PNG to write.")
def main(
    folder: Path,
    count: int | None,
    seed: int,
    given: Mapping[str, bool],
    each: str,
    edit: Mapping[str, float],
    strip: str | None,
    out: Path,
) -> None:
    """Draw faces with the generator of a run, as one grid."""
    config, path = configs.load_with_generator(folder)
    names = [name for name in each.split(",") if name]
    configs.check_conditions(folder, config, [*given, *names])
    if twice := [name for name in names if name in given]:
        raise UsageError(f"{twice[0]} is in --set and in --each: it can be in one of them.")
    if len(names) > MAX_EACH:
        raise UsageError(f"--each takes {MAX_EACH} attributes at most: {len(names)} make {2 ** len(names):,} columns.")
    if names and strip:
        raise UsageError("--each and --strip both make the columns: choose one.")
    check_writable(out)
    moves = open_directions(folder, [*edit, *([strip] if strip else [])])

    with startup_messages_hidden():
        from training import draw

        generator = draw.load(path)
    if moves and (warning := directions.outdated(folder, moves, draw.digest(path))):
        print(warning)
    distribution = config.method.latent_distribution
    count = count or (ROWS if names or strip else FACES)
    z = draw.latents(generator, count, seed, distribution)
    if edit:
        z = moves.edit(z, edit, distribution)
    rows = draw.labels_of(folder, config, count, seed, given)
    if names:
        columns = list(columns_of_answers(z, rows, names, config.conditions))
    elif strip:
        columns = [
            Column(f"{by:+g}" if by else "0", moves.edit(z, {strip: by}, distribution), rows) for by in STRENGTHS
        ]
    else:
        write_png(out, tile(draw.render(generator, z, rows)))
        print(f"{out}: {count} faces.")
        return
    images = np.stack([draw.render(generator, column.z, column.labels) for column in columns], axis=1)
    write_png(out, captioned(images, [column.caption for column in columns]))
    print(f"{out}: {count} rows, a face each, with {' and '.join(names) or strip} as captioned.")


def columns_of_answers(
    z: np.ndarray, rows: np.ndarray, names: list[str], conditions: tuple[str, ...]
) -> Iterator[Column]:
    """Yield a column for each combination of answers: the labels of `rows` with these attributes set."""
    places = [conditions.index(name) for name in names]
    for answers in product((0, 1), repeat=len(names)):
        labels = rows.copy()
        labels[:, places] = np.where(answers, 1.0, -1.0)
        yield Column("\n".join(f"{name}={is_so}" for name, is_so in zip(names, answers, strict=True)), z, labels)


def open_directions(folder: Path, names: list[str]) -> Directions | None:
    """Return the directions of a run where some are asked for.

    Raises:
        UsageError: there are none yet, or none of such a name.
    """
    if not names:
        return None
    found = directions.load(folder)
    if unknown := [name for name in names if name not in found.names]:
        raise UsageError(
            f"{folder} has no direction {unknown[0]!r}. Choose one of these by --edit or --strip: "
            f"{', '.join(found.names)}."
        )
    return found


if __name__ == "__main__":
    main()
