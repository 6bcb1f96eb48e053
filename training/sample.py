"""Draw faces with the generator of a run: python -m training.sample."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path

import click
import numpy as np
from click import UsageError

from training import config as configs
from training.grid import captioned, tile, write_png
from training.options import SEED, Answers, NameList
from training.quiet import startup_messages_hidden

FACES, ROWS = 64, 8


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--run", "folder", type=click.Path(path_type=Path), required=True, help="A run's folder, finished or running."
)
@click.option(
    "--count", type=click.IntRange(min=1), help=f"Number of faces, with --each of rows.  [default: {FACES}, {ROWS}]"
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
    help="Draw each face with and without these attributes, one face a row: Smiling,Eyeglasses.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default="faces.png", help="The PNG to write.")
def main(folder: Path, count: int | None, seed: int, given: Mapping[str, bool], each: str, out: Path) -> None:
    """Draw faces with the generator of a run, as one grid."""
    config, path = configs.load_with_generator(folder)
    names = [name for name in each.split(",") if name]
    configs.check_conditions(folder, config, [*given, *names])
    if twice := [name for name in names if name in given]:
        raise UsageError(f"{twice[0]} is in --set and in --each: it can be in one of them.")
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent} is not a folder: make it first, or choose another --out.")
    with startup_messages_hidden():
        from training import draw
        from training.data import labels

        frequencies = labels.load(folder) if config.conditions else None
        generator = draw.load(path)
    distribution = config.method.latent_distribution
    count = count or (ROWS if names else FACES)
    rows = frequencies.draw(count, seed, given) if frequencies else None
    if not names:
        write_png(out, tile(draw.faces(generator, count, seed, distribution, rows)))
        print(f"{out}: {count} faces.")
        return
    answers = list(product((False, True), repeat=len(names)))
    columns = with_answers(rows, [config.conditions.index(name) for name in names], answers)
    z = np.repeat(draw.latents(generator, count, seed, distribution), len(answers), axis=0)
    images = draw.render(generator, z, columns.reshape(len(z), -1))
    captions = [
        "\n".join(f"{name}={int(is_so)}" for name, is_so in zip(names, answer, strict=True)) for answer in answers
    ]
    write_png(out, captioned(images.reshape(count, len(answers), *images.shape[1:]), captions))
    print(f"{out}: {count} rows, a face each, with {' and '.join(names)} as captioned.")


def with_answers(rows: np.ndarray, columns: list[int], answers: list[tuple[bool, ...]]) -> np.ndarray:
    """Return labels [rows, answers, conditions]: each row with each of the answers in these columns."""
    repeated = np.repeat(rows[:, None], len(answers), axis=1)
    repeated[:, :, columns] = np.where(answers, 1.0, -1.0)
    return repeated


if __name__ == "__main__":
    main()
