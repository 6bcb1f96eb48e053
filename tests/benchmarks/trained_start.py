"""`lite` from photos of one kind, from scratch and from a trained run.

python tests/benchmarks/trained_start.py --shards data/*.tfrecord --kind FOLDER --attribute Eyeglasses
    [--init docs/models/lite] [--photos 500] [--minutes 8] [--seed 0] [--features-dir FOLDER] [--out FOLDER]

--kind is a folder of shards of photos that all have the attribute, --shards are all photos with their attributes. Each
run learns from the first photos of the kind, by the clock of presets.py: minutes of two cores, in CPU time. Faces are
scored against the held-out photos with the attribute, in the feature space that all training photos taught. There are
few such photos, so KID, which has no bias of the count, stands beside FD, and training photos of the kind beside both.

Prints the table of docs/few-photos.md, and draws 64 faces of each run beside its folder. The same command goes on
where it was.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from few_photos import images_seen
from measure import python, table
from presets import CORES, Run, begin, learn_features, minutes_option, run_options, train

from training import config as configs
from training.command import startup_messages_hidden
from training.data.shards import ShardSet, find
from training.loop.machine import this_machine
from training.metrics import METRICS, Sample
from training.options import FindShards

FIGURES = {"frechet": "FD", "kid": "KID", "precision": "precision", "recall": "recall"}


def rows_with(shards: ShardSet, attribute: str) -> np.ndarray:
    """Return the places of the photos that have the attribute."""
    from training.data.reading import read_attributes

    return np.flatnonzero(read_attributes(shards, [attribute])[:, 0])


def cells(real: np.ndarray, fake: np.ndarray) -> tuple[str, ...]:
    """The metrics of one set of features against another, in the order of FIGURES."""
    samples = [Sample(np.empty(0), features) for features in (real, fake)]
    figures: dict[str, float] = {}
    for name in FIGURES:
        figures.update(METRICS[name].compute(*samples))
    kid = f"{figures['kid']:.3f} ± {figures['kid_error']:.1g}"
    return f"{figures['frechet']:.3g}", kid, f"{figures['precision']:.2f}", f"{figures['recall']:.2f}"


@click.command()
@run_options("runs/trained-start")
@minutes_option
@click.option("--kind", type=click.Path(path_type=Path, exists=True), required=True, help="Shards of one kind.")
@click.option("--attribute", required=True, help="What all photos of the kind have.")
@click.option("--init", type=click.Path(path_type=Path, exists=True), default="docs/models/lite", help="A trained run.")
@click.option("--photos", default=500, help="How many photos of the kind to learn from.")
def main(
    find_shards: FindShards,
    features_dir: Path | None,
    kind: Path,
    attribute: str,
    init: Path,
    photos: int,
    minutes: float,
    seed: int,
    out: Path,
) -> None:
    """Train on photos of one kind from scratch and from a trained run, and score against held-out ones."""
    begin(out)
    scratch = Run(out, f"lite --limit {photos}")
    started = Run(out, f"{scratch.method} --init {init}")
    data = find_shards(features_dir)
    learn_features(tuple(str(shard.path) for shard in data.shards), data.features_dir)
    for run in (scratch, started):
        print(f"{run.method} ...", flush=True)
        train(run, tuple(str(shard.path) for shard in find([kind]).shards), seed, CORES * 60 * minutes)

    with startup_messages_hidden():
        from training import draw
        from training.metrics.evaluator import open_space
        from training.metrics.space import features_of_photos
    train_photos, held_out = data.divide("train")
    space = open_space("attributes", train_photos)
    real = features_of_photos(held_out, rows_with(held_out, attribute), space)
    of_kind = features_of_photos(train_photos, rows_with(train_photos, attribute)[: len(real)], space)

    def faces_of(folder: Path) -> np.ndarray:
        config, path = configs.load_with_generator(folder)
        distribution = config.method.latent_distribution
        return space.features(draw.faces(draw.load(path), len(real), 0, distribution))

    rows = [
        ("from scratch", f"{images_seen(scratch):,.0f}", *cells(real, faces_of(scratch.folder))),
        (f"`--init {init}`", f"{images_seen(started):,.0f}", *cells(real, faces_of(started.folder))),
        (f"`{init}` itself", "0", *cells(real, faces_of(init))),
        ("training photos of the kind", "", *cells(real, of_kind)),
    ]
    for run in (scratch, started):
        python(
            "-m", "explore.sample", "--run", run.folder, "--count", 64, "--seed", 0, "--out", out / f"{run.name}.png"
        )
    print(f"\n{len(real)} held-out photos with {attribute}; {minutes:g} minutes of {CORES} cores, of CPU time; "
          f"{this_machine()}; seed {seed}.\n")  # fmt: skip
    print(table(("start", "images seen", *FIGURES.values()), rows))


if __name__ == "__main__":
    main()
