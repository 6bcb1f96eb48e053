"""Measure the faces of a run: python -m training.evaluate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from click import UsageError

from system.command import LocalPath
from system.files import write_text
from training import config as configs
from training.command import Command, startup_messages_hidden
from training.config import Config
from training.data.shards import ShardSet
from training.metrics import HELD_OUT, METRICS, MIN_IMAGES, OF_EFFICIENTNET, TRAIN, Sample
from training.options import (
    SEED,
    FindShards,
    NameList,
    best_of_option,
    check_picture,
    check_writable,
    feature_options,
    run_option,
    shards_options,
    truncation_option,
)
from training.resolve import conditions_of

if TYPE_CHECKING:
    import keras

    from training.metrics.evaluator import Evaluator
    from training.metrics.space import FeatureSpace

FILE_NAME = "evaluation.json"
PATH_LENGTH = "path_length"
# Columns without faces: held-out photos against training photos, and training photos against others of them.
HELD_OUT_TRAIN, FLOOR = "held_out_train", "floor"
PAIRS = 32  # faces that --neighbours shows, each with its nearest training photo


@click.command(cls=Command)
@run_option
@shards_options
@feature_options
@click.option(
    "--count", type=click.IntRange(MIN_IMAGES), default=5000, help="Faces, and photos of each split, at most."
)
@click.option("--seed", type=SEED, default=0, help="Seed of the faces.")
@best_of_option
@truncation_option
@click.option(
    "--metrics",
    type=NameList([*METRICS, PATH_LENGTH]),
    default="",
    show_default="all",
    help=f"Metrics, separated by commas: {', '.join([*METRICS, PATH_LENGTH])}.",
)
@click.option(
    "--neighbours",
    type=LocalPath(path_type=Path, dir_okay=False),
    help="Write a grid of faces, each with its nearest training photo at its right.",
)
@click.option(
    "--out",
    type=LocalPath(path_type=Path, dir_okay=False),
    help=f"The JSON to write.  [default: {FILE_NAME} in the run's folder, with --best-of 4 "
    "evaluation-best-of-4.json, with --truncation 0.7 evaluation-truncation-0.7.json]",
)
def main(
    folder: Path,
    find_shards: FindShards,
    features: str,
    inception_file: Path | None,
    features_dir: Path | None,
    count: int,
    seed: int,
    best_of: int,
    truncation: float,
    metrics: str,
    neighbours: Path | None,
    out: Path | None,
) -> None:
    """Measure the faces of a run against its training photos and against held-out photos.

    train:train is the floor, the figure of a perfect generator: the training photos against as many other training
    photos. What the Frechet distance and KID are above it stands below them. The network of the feature space knows the
    training photos, so it sees them apart from held-out ones: held-out:train is above the floor, and faces that copy
    nothing are about as near to held-out photos as to training photos, or nearer. Copies of training photos would have
    the floor in faces:train and held-out:train in faces:held-out.

    All figures use equal numbers of faces, held-out photos, and training photos of each half: the smallest decides.
    Except for KID, figures of different counts are not comparable.

    c2st, c2st_24, path_length and broken are measured by a network that never saw labels of faces. The first three are
    for reports: what is chosen or tuned by them they no longer judge. broken compares generators; of photos, which are
    not broken, it is about 0.2.
    """
    config, path = configs.load_with_generator(folder)
    changes = {"best-of": best_of, "truncation": truncation}
    suffix = "".join(f"-{name}-{value:g}" for name, value in changes.items() if value != 1)
    out = out or folder / f"evaluation{suffix}.json"
    check_writable(out)
    if neighbours:
        check_picture(neighbours, "--neighbours")
    train_shards, held_out = split_photos(find_shards(features_dir), config)
    conditions_of(train_shards, config.condition)

    with startup_messages_hidden():
        from training import choosing, draw
        from training.metrics.conditions import judge
        from training.metrics.evaluator import Evaluator, needs_space, open_space
        from training.metrics.space import progress

        generator, digest = draw.load_with_digest(path)
        names = choose(metrics)
    of_samples = tuple(name for name in names if name in METRICS)
    space = None
    if needs_space(of_samples) or neighbours:
        space = open_space(features, train_shards, inception_file)
    answers = open_judge(train_shards, config) if config.conditions else None
    evaluator = Evaluator(train_shards, held_out, space, of_samples, count, config.conditions)
    print(describe(folder, evaluator, config, choosing.described(best_of, truncation)), flush=True)
    distribution = config.method.latent_distribution
    z = choosing.latents(generator, evaluator.count, seed, distribution, best_of, evaluator.labels, truncation)
    with progress(evaluator.count, "Faces") as bar:
        faces = draw.render(generator, z, evaluator.labels, bar.update)
    fake = evaluator.sample_of(faces)
    columns = score(evaluator, fake)
    print(table(columns, evaluator.names))
    length = None
    if PATH_LENGTH in names:
        length = path_length(generator, evaluator, seed, distribution, truncation)
        print(f"path_length {_cell(length, PATH_LENGTH)}: how far EfficientNet sees a face move on its way to another.")
    judged = None
    if answers:
        judged = judge(config.conditions, fake, evaluator.real[TRAIN], evaluator.floor_photos, answers)
        print(table_of_conditions(judged))
    report = {
        "generator": digest,
        "features": {"name": space.name, "digest": space.digest} if space else None,
        "photos": {split: {"count": part.count, "data": part.fingerprint} for split, part in evaluator.shards.items()},
        "count": evaluator.count,
        "seed": seed,
        "best_of": best_of,
        "truncation": truncation,
        "scores": columns,
        **(length or {}),
        **({"conditions": judged} if judged else {}),
    }
    write_text(out, json.dumps(report, indent=2) + "\n")
    print(f"{out}: the same, as JSON.")
    if neighbours and space:
        draw.write_png(neighbours, pairs(faces[:PAIRS], train_shards, space))
        print(f"{neighbours}: {min(PAIRS, len(faces))} faces, each with its nearest training photo at its right.")


def choose(metrics: str) -> tuple[str, ...]:
    """Return the metrics that were asked for; where none was, all that can be computed, and say how to get the others.

    Raises UsageError where the network of one that was asked for is not installed.
    """
    from training.metrics import efficientnet

    of_efficientnet = (*OF_EFFICIENTNET, PATH_LENGTH)
    names = tuple(metrics.split(",")) if metrics else (*METRICS, PATH_LENGTH)
    try:
        if set(names) & set(of_efficientnet):
            efficientnet.load()
    except UsageError as error:
        if metrics:
            raise
        print(f"{', '.join(of_efficientnet)} are not measured. {error.message}")
        return tuple(name for name in names if name not in of_efficientnet)
    return names


def path_length(
    generator: keras.Model, evaluator: Evaluator, seed: int, distribution: str, truncation: float
) -> dict[str, float]:
    """Return the perceptual path length over as many paths as faces are scored, and its standard error."""
    from training import draw
    from training.metrics import efficientnet, path_length
    from training.metrics.space import progress

    ends = draw.latents(generator, 2 * evaluator.count, seed, distribution, truncation)
    points, velocities = path_length.paths(ends.reshape(2, evaluator.count, -1), distribution)
    with progress(evaluator.count, "Paths") as bar:
        lengths = path_length.lengths(
            generator, efficientnet.perceptual, points, velocities, evaluator.labels, bar.update
        )
    mean, error = path_length.mean_and_error(lengths)
    return {PATH_LENGTH: mean, f"{PATH_LENGTH}_error": error}


def split_photos(shards: ShardSet, config: Config) -> tuple[ShardSet, ShardSet]:
    """Return the photos that the run was trained on, and those that it was not; of these there may be none."""
    configs.check_shards_fit_run(config, shards.image_shape)
    train_shards, held_out = shards.divide(config.train_on)
    if not train_shards.count:
        raise UsageError(f"The run was trained on {config.train_on} shards, and none are among those given.")
    return train_shards.first(config.photos), held_out


def describe(folder: Path, evaluator: Evaluator, config: Config, chosen: str) -> str:
    """Return what is measured against what; `chosen` is how faces were, as `choosing.described` says it."""
    from training.metrics.attributes import JUDGE

    photos, space = evaluator.shards, evaluator.space
    sizes = " and ".join(f"{part.count:,} {split.replace('_', '-')}" for split, part in photos.items())
    lines = [f"{evaluator.count:,} faces of {folder}{chosen}, against as many of the {sizes} photos."]
    if space:
        lines.append(f"Feature space {space.name}, {space.digest}: figures of another one are not comparable.")
    if space and space.name == JUDGE:
        lines.append("The judge was trained on the held-out photos: faces:train is the one column to compare.")
    if photos[TRAIN].fingerprint != config.data:
        lines.append("The run was trained on other shards: the column faces:train says nothing about memorisation.")
    if HELD_OUT not in photos:
        lines.append("No photos were held out: memorisation cannot be measured.")
    return "\n".join(lines)


def score(evaluator: Evaluator, fake: Sample) -> dict[str, dict[str, float]]:
    """Return the figures by column: faces against each split, then photos against photos."""

    def log(line: str) -> None:
        print(f"  {line} ...", flush=True)

    columns = evaluator.score(fake, log)
    photos = evaluator.real[TRAIN]
    if HELD_OUT in evaluator.real:
        columns[HELD_OUT_TRAIN] = evaluator.figures(photos, evaluator.real[HELD_OUT], f"{TRAIN}, of {HELD_OUT}", log)
    floor = evaluator.figures(photos, evaluator.floor_photos, f"{TRAIN}, of {TRAIN}", log)
    for figures in columns.values():
        figures |= {above(name): figures[name] - floor[name] for name in evaluator.names if METRICS[name].adds_up}
    return {**columns, FLOOR: floor}


def above(name: str) -> str:
    """Return what a figure less its floor is called."""
    return f"{name}_above_floor"


def open_judge(shards: ShardSet, config: Config) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return what the judge of these shards answers for the run's conditions; None, and a hint, without."""
    from training.metrics import attributes

    try:
        return attributes.answers_of(*attributes.load_judge(shards, config.train_on), config.conditions)
    except UsageError as error:
        print(f"Whether faces have what was asked for is not measured. {error.message}")
        return None


def table_of_conditions(judged: dict[str, dict[str, float | None]]) -> str:
    """Return an aligned table: a condition per row."""
    rows = [["recognised by the judge", "faces:photos", "with", "without", "FD:floor with", "without"]]
    for name, figures in judged.items():
        rates = [(f"faces{part}", f"photos{part}", ".3f") for part in ("", "_with", "_without")]
        distances = [(f"frechet{part}", f"frechet{part}_floor", ".4g") for part in ("_with", "_without")]
        cells = [
            f"{_figure(figures.get(first), form)}:{_figure(figures.get(second), form)}"
            for first, second, form in rates + distances
        ]
        rows.append([name, *cells])
    return "\n".join(aligned(rows))


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def aligned(rows: list[list[str]]) -> list[str]:
    """Return lines of cells that stand below each other, at the right of their columns."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def table(columns: dict[str, dict[str, float]], names: tuple[str, ...]) -> str:
    """Return an aligned table: a metric per row, which direction is better, the figure of each column."""
    titles = {TRAIN: "faces:train", HELD_OUT: "faces:held-out", HELD_OUT_TRAIN: "held-out:train", FLOOR: "train:train"}
    rows = [["", "better", *(titles[column] for column in columns)]]
    for name in names:
        better = "lower" if METRICS[name].lower_is_better else "higher"
        rows.append([name, better, *(_cell(figures, name) for figures in columns.values())])
        if METRICS[name].adds_up:
            rows.append([above(name), better, *(_cell(figures, above(name)) for figures in columns.values())])
    floor = f"{titles[FLOOR]} is the floor, the figure of a perfect generator: two halves of the training photos."
    return "\n".join([*aligned(rows), floor])


def _cell(figures: dict[str, float], name: str) -> str:
    error = figures.get(f"{name}_error")
    return _figure(figures.get(name), ".4g") + (f" ± {error:.1g}" if error is not None else "")


def pairs(faces: np.ndarray, photos: ShardSet, space: FeatureSpace) -> np.ndarray:
    """Return a grid of faces, uint8 [count, height, width, channels], each with the nearest photo in `space` beside."""
    from training import draw
    from training.metrics.distances import nearest
    from training.metrics.space import features_of_photos, read_rows

    rows = nearest(space.features(faces), features_of_photos(photos, np.arange(photos.count), space))
    joined = np.concatenate([faces, read_rows(photos, rows)], axis=2)
    return draw.tile(np.pad(joined, ((0, 0), (2, 2), (2, 2), (0, 0))))  # black between pairs


if __name__ == "__main__":
    main()
