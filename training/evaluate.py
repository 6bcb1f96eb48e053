"""The command line that measures a run's faces: python -m training.evaluate."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from click import UsageError

from training import config as configs
from training.data.shards import ShardSet, find
from training.files import write_text
from training.grid import tile, write_png
from training.metrics import METRICS
from training.options import Names, feature_options, shards_options
from training.quiet import startup_chatter_hidden

if TYPE_CHECKING:
    from training.metrics.evaluator import Evaluator
    from training.metrics.space import FeatureSpace

FILE_NAME = "evaluation.json"
TRAIN, HELD_OUT, FLOOR = "train", "held_out", "floor"
PAIRS = 32
"""Faces that --neighbours shows, each beside its nearest training photo."""


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 110})
@click.option(
    "--run", "folder", type=click.Path(path_type=Path), required=True, help="A run's folder, finished or running."
)
@shards_options
@feature_options
@click.option("--count", type=click.IntRange(min=1), default=5000, help="Faces, and photos of each kind, at most.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Which faces.")
@click.option("--metrics", type=Names(tuple(METRICS)), default=",".join(METRICS), help="Which metrics.")
@click.option(
    "--neighbours",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a grid of faces, each with its nearest training photo at its right.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"The JSON to write.  [default: {FILE_NAME} in the run's folder]",
)
def main(
    folder: Path,
    shards: tuple[str, ...],
    more_shards: tuple[str, ...],
    features: str,
    inception_file: Path | None,
    count: int,
    seed: int,
    metrics: str,
    neighbours: Path | None,
    out: Path | None,
) -> None:
    """Measure a run's faces against the photos that it learnt from and against those that it never saw.

    Faces that are nearer to the former by more than the floor, which is how near the photos are to each other, are
    partly memorised. Every figure takes as many faces as photos, and as many photos of each kind: the smaller kind
    decides. KID apart, figures of different counts do not compare.
    """
    names = tuple(metrics.split(",") if metrics else METRICS)
    settings, path = configs.load_with_generator(folder)
    out = out or folder / FILE_NAME
    for place in (out, neighbours or out):
        if not place.parent.is_dir():
            raise UsageError(f"{place.parent} is not a folder: make it first, or choose another place.")
    photos = divide(find([*shards, *more_shards] or ["data"]), settings)

    with startup_chatter_hidden():
        from training import draw
        from training.loop.failures import failures_of_files_in_words
        from training.metrics.evaluator import Evaluator, needs_features, open_space
        from training.metrics.space import progress

        generator = draw.load(path)
    space = None
    if needs_features(names) or neighbours:
        space = open_space(features, photos[TRAIN], inception_file)
    with failures_of_files_in_words():
        evaluator = Evaluator(photos, space, names, count)
        print(describe(folder, evaluator.count, photos, settings, space), flush=True)
        with progress(evaluator.count, "Faces") as bar:
            faces = draw.faces(generator, evaluator.count, seed, settings["latent_distribution"], bar.update)
        columns = score(evaluator, faces)
        print(table(columns, names))
        report = {
            "generator": hashlib.sha256(path.read_bytes()).hexdigest()[:16],
            "features": {"name": space.name, "digest": space.digest} if space else None,
            "photos": {split: {"count": part.count, "data": part.fingerprint} for split, part in photos.items()},
            "count": evaluator.count,
            "seed": seed,
            "scores": columns,
        }
        write_text(out, json.dumps(report, indent=2) + "\n")
        print(f"{out}: the same, as JSON.")
        if neighbours:
            write_png(neighbours, pairs(faces[:PAIRS], photos[TRAIN], space))
            print(f"{neighbours}: {min(PAIRS, len(faces))} faces, each with its nearest training photo at its right.")


def divide(shards: ShardSet, settings: dict[str, object]) -> dict[str, ShardSet]:
    """Return the photos that the run learnt from, and, where there are any, those that it did not."""
    if list(shards.image_shape) != settings["image_shape"]:
        raise UsageError(f"The run draws {settings['image_shape']} and the shards hold {list(shards.image_shape)}.")
    learnt, held_out = shards.divide(settings["train_on"])
    if not learnt.count:
        raise UsageError(f"The run learnt from {settings['train_on']} shards, and none are among those given.")
    parts = {TRAIN: learnt.first(settings["photos"]), HELD_OUT: held_out}
    return {split: part for split, part in parts.items() if part.count}


def describe(
    folder: Path, count: int, photos: dict[str, ShardSet], settings: dict[str, object], space: FeatureSpace | None
) -> str:
    """Say what is measured against what."""
    sizes = " and ".join(f"{part.count:,} {split.replace('_', '-')}" for split, part in photos.items())
    lines = [f"{count:,} faces of {folder}, against as many out of {sizes} photos each."]
    if space:
        lines.append(f"Feature space {space.name}, {space.digest}: figures of another do not compare.")
    if photos[TRAIN].fingerprint != settings["data"]:
        lines.append("These are not the shards that the run learnt from: train says nothing about memorising.")
    if HELD_OUT not in photos:
        lines.append("No photos were held out of learning: what is memorised cannot be told from what is learnt.")
    return "\n".join(lines)


def score(evaluator: Evaluator, faces: np.ndarray) -> dict[str, dict[str, float]]:
    """Return the figures by column: faces against each split, and the floor where photos were held out."""

    def say(line: str) -> None:
        print(f"  {line} ...", flush=True)

    columns = {split: {} for split in evaluator.real}
    for name, value in evaluator.score(faces, say).items():
        split, figure = name.split("/")
        columns[split][figure] = value
    if HELD_OUT in evaluator.real:
        columns[FLOOR] = evaluator.floor(TRAIN, HELD_OUT, say)
    return columns


def table(columns: dict[str, dict[str, float]], names: tuple[str, ...]) -> str:
    """Return aligned lines: a metric each, with what is better and the figure of each column."""
    titles = {TRAIN: "faces:train", HELD_OUT: "faces:held-out", FLOOR: "held-out:train"}
    rows = [["", "better", *(titles[column] for column in columns)]]
    for name in names:
        better = "lower" if METRICS[name].lower_is_better else "higher"
        rows.append([name, better, *(_cell(figures, name) for figures in columns.values())])
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    if FLOOR in columns:
        lines.append(f"{titles[FLOOR]} is the floor: photos taken for faces.")
    return "\n".join(lines)


def _cell(figures: dict[str, float], name: str) -> str:
    error = figures.get(f"{name}_error")
    return f"{figures[name]:.4g}" + (f" ± {error:.1g}" if error is not None else "")


def pairs(faces: np.ndarray, photos: ShardSet, space: FeatureSpace) -> np.ndarray:
    """Return a grid of faces, each with the photo at its right whose features are nearest to its own.

    Args:
        faces: uint8 [count, height, width, channels].
        photos: where to look, all of them.
        space: where distances are taken.
    """
    from training.metrics.distances import nearest
    from training.metrics.space import features_of_photos, read_rows

    rows = nearest(space.features(faces), features_of_photos(photos, np.arange(photos.count), space))
    joined = np.concatenate([faces, read_rows(photos, rows)], axis=2)
    return tile(np.pad(joined, ((0, 0), (2, 2), (2, 2), (0, 0))))  # black between pairs


if __name__ == "__main__":
    main()
