"""Find the directions of attributes in the space of z: python -m explore.directions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from click import UsageError

from explore.directions import directions, rescoring
from explore.directions.directions import Directions
from system.command import Number
from training import config as configs
from training.command import Command, startup_messages_hidden
from training.config import Config
from training.data.shards import ShardSet
from training.options import SEED, FindShards, check_writable, features_dir_option, run_option, shards_options

if TYPE_CHECKING:
    import keras

RESCORED = 1_000  # faces that the judge sees along each direction
CHUNK = 4_000  # faces in memory at a time


@click.command(cls=Command)
@run_option
@shards_options
@features_dir_option
@click.option("--count", type=click.IntRange(1000, 1_000_000), default=40_000, help="Faces to score.")
@click.option("--seed", type=SEED, default=1, help="Seed of these faces.")
@click.option(
    "--strength",
    type=Number(0, 20, min_open=True),
    default=3.0,
    help="Strength at which the judge sees the faces; at 3 most should have changed.",
)
@click.option(
    "--keep-others",
    type=Number(0, 10),
    default=3.0,
    help="Weight of changes of all other attributes against those of a direction's own; 0 ignores them.",
)
@click.option(
    "--no-attributes",
    "is_factorised",
    is_flag=True,
    help="Find the 16 strongest directions from the weights alone, for shards without attributes (SeFa).",
)
def main(
    folder: Path,
    find_shards: FindShards,
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
    as directions.csv and directions.png, into the run's folder. explore.sample --edit and --strip use them.
    """
    config, path = configs.load_with_generator(folder)
    photos = None if is_factorised else find_shards(features_dir)
    if photos:
        configs.check_shards_fit_run(config, photos.image_shape)
    names = directions.FILE_NAME, rescoring.CSV_NAME, rescoring.PICTURE_NAME
    vectors, matrix, picture = (folder / name for name in names)
    for file in (vectors, matrix, picture):
        check_writable(file, f"copy {folder} to where it can be, and name the copy")
    with startup_messages_hidden():
        from training import draw

        generator, digest = draw.load_with_digest(path)
    if photos:
        result = find_by_logits(folder, config, generator, photos, count, seed, keep_others)
    else:
        result = directions.factorise(first_kernel(generator, config.method.latent), 16)
    for file in (matrix, picture):  # of earlier directions
        file.unlink(missing_ok=True)
    directions.save(folder, replace(result, generator=digest))
    source = f"{count:,} faces" if photos else "the weights alone"
    print(f"{vectors}: {len(result.names)} directions from {source}: {', '.join(result.names)}.")
    if not photos:
        return
    try:
        rescored = rescore(folder, config, generator, photos, result, seed + 1, strength)
    except UsageError as error:
        print(f"No judge says what else changes along them. {error.message}")
        return
    rescoring.write_csv(folder, result, rescored)
    rescoring.draw(folder, result.names, rescored)
    print(rescoring.table(result, rescored, strength))
    print(f"{matrix} and {picture}: how often each answer changes along each direction.")


def first_kernel(generator: keras.Model, latent: int) -> np.ndarray:
    """Return the kernel of the layer that takes z, [length of z, outputs]; rows that labels multiply are left out."""
    sizes = [entry.shape[-1] for entry in generator.inputs]
    takes_z = (layer for layer in generator.layers if layer.weights and layer.weights[0].shape[0] >= latent)
    kernel = next(layer for layer in takes_z if len(sizes) == 1 or layer.weights[0].shape[0] > latent).weights[0]
    return np.asarray(kernel)[:latent]


def find_by_logits(
    folder: Path, config: Config, generator: keras.Model, photos: ShardSet, count: int, seed: int, keep_others: float
) -> Directions:
    """Return the directions of all attributes that are no conditions, by a classifier's logits of many faces."""
    from explore.directions import refining
    from training import draw
    from training.metrics import attributes
    from training.metrics.space import progress

    try:
        photos.attribute_names  # noqa: B018 - which there may not be
    except UsageError as error:
        raise UsageError(f"{error.message}\nWithout attributes, use --no-attributes.") from None
    classifier, card = attributes.load_network(photos)
    names = [name for name in card.attribute_names if name not in config.conditions]
    if not names:
        raise UsageError(f"Every attribute is a condition of {folder}: ask for them by explore.sample --set.")
    z = draw.latents(generator, count, seed, config.method.latent_distribution)
    labels = draw.labels_of(folder, config, count, seed)
    chunks = []
    with progress(count, "Faces") as bar:
        for first in range(0, count, CHUNK):
            chunk = slice(first, first + CHUNK)
            faces = draw.render(generator, z[chunk], None if labels is None else labels[chunk], bar.update)
            chunks.append(attributes.logits(classifier, faces))
    logits = np.concatenate(chunks)[:, np.isin(card.attribute_names, names)]
    steepest = directions.find(names, z, logits)
    return refining.refine(steepest, z, labels, logits, config.method.latent_distribution, keep_others, seed)


def rescore(
    folder: Path,
    config: Config,
    generator: keras.Model,
    photos: ShardSet,
    result: Directions,
    seed: int,
    strength: float,
) -> rescoring.Rescoring:
    """Return how the judge's answers change along the directions.

    Raises:
        UsageError: there is no judge, or it was trained on photos that the run was trained on.
    """
    from training import draw
    from training.metrics import attributes
    from training.metrics.space import progress

    judge, card = attributes.load_judge(photos, config.train_on)
    distribution = config.method.latent_distribution
    labels = draw.labels_of(folder, config, RESCORED, seed)

    with progress(len(result.names), "Directions") as bar:
        return rescoring.rescore(
            result,
            strength,
            draw.latents(generator, RESCORED, seed, distribution),
            distribution,
            lambda z: draw.render(generator, z, labels),
            attributes.answers_of(judge, card, result.names),
            attributes.features_of(judge),
            bar.update,
        )


if __name__ == "__main__":
    main()
