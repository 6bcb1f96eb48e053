"""`lite` from few photos, with and without augmentations.

python tests/benchmarks/few_photos.py --shards data/*.tfrecord [--photos 300,1000,5000] [--minutes 8] [--seed 0]
    [--change "--augment ada --augment-target 0.6"] [--features-dir FOLDER] [--out FOLDER]

Each run learns from the first photos of the train- shards, by the clock of presets.py: minutes of two cores, in CPU
time. All are scored alike, against the held-out photos of the whole data set, in the feature space that its training
photos taught: figures against 300 photos would measure those 300. The same command goes on where it was.

Prints the tables of docs/few-photos.md, and draws 64 faces of each run beside its folder.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
from measure import python, table
from presets import CORES, Run, begin, learn_features, minutes_option, run_options, train

from training import config as configs
from training.command import startup_messages_hidden
from training.data.shards import ShardSet
from training.loop.machine import this_machine
from training.metrics import HELD_OUT, Sample
from training.options import FindShards

METRICS = ("frechet", "precision", "recall")
HEAD = ("photos", "options", "images seen", "probability", "FD", "precision", "recall", "nearest is its own", "chance")


def last_status(run: Run) -> dict:
    """The last status of a run's log."""
    events = map(json.loads, (run.folder / "stats.jsonl").read_text().splitlines())
    return [event for event in events if event["event"] == "status"][-1]


def images_seen(run: Run) -> float:
    """How many photos D has seen."""
    return 1000 * last_status(run)["kimg"]


class Yardstick:
    """Held-out photos of the whole data set, and all photos that a run may have learnt from, in one feature space."""

    def __init__(self, photos: ShardSet):
        """Read them."""
        from training.metrics.evaluator import Evaluator, open_space
        from training.metrics.space import features_of_photos

        train_photos, held_out = photos.divide("train")
        space = open_space("attributes", train_photos)
        self.evaluator = Evaluator(train_photos, held_out, space, METRICS)
        self.train_features = features_of_photos(train_photos, np.arange(train_photos.count), space)

    def row(self, run: Run, photos: int) -> tuple[str, ...]:
        """A run's line of the table: its faces against held-out photos."""
        from training import draw
        from training.metrics.distances import nearest

        config, path = configs.load_with_generator(run.folder)
        distribution = config.method.latent_distribution
        faces = self.evaluator.sample_of(draw.faces(draw.load(path), self.evaluator.count, 0, distribution))
        own = np.mean(nearest(faces.features, self.train_features) < photos)
        probability = last_status(run).get("augment_probability", 0)
        options = run.method.partition(f"--limit {photos}")[2].strip()
        chance = photos / len(self.train_features)
        figures = self.cells(faces)
        seen = f"{images_seen(run):,.0f}"
        return (f"{photos:,}", f"`{options}`" if options else "", seen, f"{probability:.2f}", *figures,
                f"{own:.1%}", f"{chance:.1%}")  # fmt: skip

    def cells(self, faces: Sample) -> list[str]:
        """The metrics of faces against held-out photos."""
        figures = self.evaluator.figures(self.evaluator.real[HELD_OUT], faces)
        return [f"{figures['frechet']:.3g}", f"{figures['precision']:.2f}", f"{figures['recall']:.2f}"]

    def floor(self, count: int) -> str:
        """The Frechet distance of two disjoint sets of so many training photos, of five pairs of them."""
        from training.metrics.frechet import Gaussian, distance

        def pair(seed: int) -> float:
            rows = np.random.default_rng(seed).permutation(len(self.train_features))[: 2 * count]
            return distance(*(Gaussian.of(self.train_features[half]) for half in np.split(rows, 2)))

        distances = [pair(seed) for seed in range(5)]
        return f"{np.mean(distances):.3g} ± {np.std(distances):.1g}"


@click.command()
@run_options("runs/few-photos")
@minutes_option
@click.option("--photos", default="300,1000,5000", help="How many, separated by commas.")
@click.option("--change", "changes", multiple=True, metavar="OPTIONS", help="Options of training.run, of further runs.")
def main(
    find_shards: FindShards,
    features_dir: Path | None,
    photos: str,
    changes: tuple[str, ...],
    minutes: float,
    seed: int,
    out: Path,
) -> None:
    """Train on few photos for the same time, and score against all that were held out."""
    begin(out)
    counts = [int(count) for count in photos.split(",")]
    runs = [
        (count, Run(out, f"lite --limit {count} {change}".strip())) for count in counts for change in ("", *changes)
    ]
    data = find_shards(features_dir)
    shards = tuple(str(shard.path) for shard in data.shards)
    learn_features(shards, data.features_dir)
    for _, run in runs:
        print(f"{run.method} ...", flush=True)
        train(run, shards, seed, CORES * 60 * minutes)
    with startup_messages_hidden():
        import training.metrics.evaluator  # noqa: F401
    yardstick = Yardstick(data)
    rows = [yardstick.row(run, count) for count, run in runs if run.is_there()]
    known = yardstick.cells(yardstick.evaluator.floor_photos)
    rows.append(("all", "training photos in place of faces", "", "", *known, "", ""))
    for _, run in runs:
        picture = out / f"{run.name}.png"
        python("-m", "explore.sample", "--run", run.folder, "--count", 64, "--seed", 0, "--out", picture)
    print(
        f"\n{minutes:g} minutes of {CORES} cores, of CPU time; {this_machine()}; seed {seed}.\n\n{table(HEAD, rows)}\n"
    )
    floors = [(f"{count:,}", yardstick.floor(count // 2)) for count in counts]
    print(table(("photos", "FD of one half to the other"), floors))


if __name__ == "__main__":
    main()
