"""Find the directions of attributes in the space of z: python -m training.directions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from click import UsageError

from training import config as configs
from training.command import Command
from training.config import Config
from training.data.shards import ShardSet, attribute_names
from training.data.shards import find as find_shards
from training.explore import directions as found
from training.explore import rescoring
from training.explore.directions import Directions
from training.options import SEED, Number, check_writable, features_dir_option, run_option, shards_options
from training.quiet import startup_messages_hidden

if TYPE_CHECKING:
    import keras

JUDGEMENT = ("directions.csv", "directions.png")
JUDGED = 1_000
"""Faces that the judge sees along each direction."""
SCORED = 4_000
"""Faces in memory at a time."""
SHOWN = 12
"""Directions that the printed table has: the calibrated ones first, with the most changes of their own attribute."""


@click.command(cls=Command)
@run_option
@shards_options
@features_dir_option
@click.option("--count", type=click.IntRange(min=1000), default=40_000, help="Faces to score.")
@click.option("--seed", type=SEED, default=1, help="Seed of these faces.")
@click.option(
    "--strength",
    type=Number(0, 20, min_open=True),
    default=3.0,
    help="Strength to judge at; at 3 most faces should have changed.",
)
@click.option(
    "--keep-others",
    type=Number(0, 10),
    default=3.0,
    help="How much a change of all other attributes counts against one of the own; 0 where anything may change.",
)
@click.option(
    "--no-attributes",
    "is_factorised",
    is_flag=True,
    help="Find the 16 strongest directions from the weights alone, for shards without attributes (SeFa).",
)
def main(
    folder: Path,
    shards: tuple[str, ...],
    more_shards: tuple[str, ...],
    features_dir: Path | None,
    count: int,
    seed: int,
    strength: float,
    keep_others: float,
    is_factorised: bool,
) -> None:
    """Find for each attribute the direction in z along which a face gets it, or loses it.

    The network of training.features scores the faces; the judge of training.features --judge, which was trained on
    other photos, says how often the answers change along each direction. Writes directions.npz, and what the judge says
    as directions.csv and directions.png, into the run's folder. training.sample --edit and --strip use them.
    """
    config, path = configs.load_with_generator(folder)
    photos = None if is_factorised else find_shards([*shards, *more_shards] or ["data"], features_dir)
    if photos:
        configs.check_image_shape(config, photos.image_shape)
    for name in (found.FILE_NAME, *JUDGEMENT):
        check_writable(folder / name, f"copy {folder} to where it can be, and name the copy")
    with startup_messages_hidden():
        from training import draw

        generator = draw.load(path)
    if photos is None:
        directions = found.factorise(first_kernel(generator, config.method.latent), 16)
    else:
        directions = find_by_scores(folder, config, generator, photos, count, seed, keep_others)
    for name in JUDGEMENT:  # of the directions before
        (folder / name).unlink(missing_ok=True)
    found.save(folder, replace(directions, generator=draw.digest(path)))
    source = "the weights alone" if photos is None else f"{count:,} faces"
    print(
        f"{folder / found.FILE_NAME}: {len(directions.names)} directions from {source}: {', '.join(directions.names)}."
    )
    if photos is None:
        return
    try:
        result = judge(folder, config, generator, photos, directions, seed + 1, strength)
    except UsageError as error:
        print(f"No judge says what else changes along them. {error.message}")
        return
    matrix, picture = (folder / name for name in JUDGEMENT)
    rescoring.write_csv(matrix, directions, result)
    rescoring.draw(picture, result)
    print(table(directions, result, strength))
    print(f"{matrix} and {picture}: how often each answer changes along each direction.")


def first_kernel(generator: keras.Model, latent: int) -> np.ndarray:
    """Return the kernel of the layer that takes z, [length of z, outputs]; rows that labels multiply are left out."""
    sizes = [entry.shape[-1] for entry in generator.inputs]
    takes_z = (layer for layer in generator.layers if layer.weights and layer.weights[0].shape[0] >= latent)
    kernel = next(layer for layer in takes_z if len(sizes) == 1 or layer.weights[0].shape[0] > latent).weights[0]
    return np.asarray(kernel)[:latent]


def find_by_scores(
    folder: Path, config: Config, generator: keras.Model, photos: ShardSet, count: int, seed: int, keep_others: float
) -> Directions:
    """Return the directions of all attributes that are no conditions, by what a network says of many faces.

    Raises:
        UsageError: the shards have no attributes, there is no network of training.features, or all attributes are
            conditions.
    """
    from training import draw
    from training.explore import refining
    from training.metrics import attributes
    from training.metrics.space import progress

    try:
        attribute_names(photos)
    except UsageError as error:
        raise UsageError(f"{error.message}\nWithout attributes, use --no-attributes.") from None
    scorer, card = attributes.load_network(photos)
    free = [name for name in card.attribute_names if name not in config.conditions]
    if not free:
        raise UsageError(f"Every attribute is a condition of {folder}: ask for them by training.sample --set.")
    z = draw.latents(generator, count, seed, config.method.latent_distribution)
    rows = draw.labels_of(folder, config, count, seed)
    said = []
    with progress(count, "Faces") as bar:
        for first in range(0, count, SCORED):
            part = slice(first, first + SCORED)
            faces = draw.render(generator, z[part], None if rows is None else rows[part], bar.update)
            said.append(attributes.scores(scorer, faces))
    logits = np.concatenate(said)[:, np.isin(card.attribute_names, free)]
    steepest = found.find(free, z, logits)
    return refining.refine(steepest, z, rows, logits, config.method.latent_distribution, keep_others, seed)


def judge(
    folder: Path,
    config: Config,
    generator: keras.Model,
    photos: ShardSet,
    directions: Directions,
    seed: int,
    strength: float,
) -> rescoring.Rescoring:
    """Return what the judge of these shards says of the directions.

    Raises:
        UsageError: there is none, or it knows the photos that the run was trained on.
    """
    from training import draw
    from training.metrics import attributes
    from training.metrics.space import progress

    network, card = attributes.load_judge(photos, config.train_on)
    distribution, names = config.method.latent_distribution, directions.names
    rows = draw.labels_of(folder, config, JUDGED, seed)

    def move(z: np.ndarray, name: str, signs: np.ndarray) -> np.ndarray:
        towards, away = (directions.edit(z, {name: sign * strength}, distribution) for sign in (1, -1))
        return np.where(signs[:, None] > 0, towards, away)

    with progress(len(names), "Directions") as bar:
        return rescoring.rescore(
            names,
            draw.latents(generator, JUDGED, seed, distribution),
            move,
            lambda z: draw.render(generator, z, rows),
            attributes.answers_of(network, card, names),
            attributes.features_of(network),
            bar.update,
        )


def table(directions: Directions, result: rescoring.Rescoring, strength: float) -> str:
    """Return the calibrated directions that change their own attribute most, then the others, a line each."""
    own, is_calibrated = np.diag(result.changed), directions.is_calibrated
    lines = [f"Moved by a strength of {strength:g}; answers of a judge that was trained on other photos:"]
    lines.append(f"{'':<20} AUC (0.5 is chance)  changes  others change  same face")
    for index in np.lexsort((-own, ~is_calibrated))[:SHOWN]:
        shares = f"{directions.auc[index]:19.2f} {own[index]:8.1%} {result.others[index]:14.1%}"
        lines.append(f"{result.names[index]:<20} {shares} {result.sameness[index]:10.2f}")
    if weak := [name for name, is_so in zip(result.names, is_calibrated, strict=True) if not is_so]:
        lines.append(f"Not calibrated, so that a strength of 3 need not change most faces: {', '.join(weak)}.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
