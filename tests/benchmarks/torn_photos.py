"""What each metric sees where photos are torn by hand: python tests/benchmarks/torn_photos.py --shards data.

Held-out photos stand in for faces, with none, a quarter and all of them torn as for `--torn`. A metric that sees broken
faces changes from row to row. Prints the table of docs/presets.md.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from measure import table

from training.command import startup_messages_hidden
from training.data.shards import find
from training.metrics import HELD_OUT, METRICS, TRAIN
from training.presets import PHOTOS_PER_TORN


def torn(images: np.ndarray) -> np.ndarray:
    """Tear every photo: uint8 [count, height, width, channels], each with a part of itself or of the next one."""
    import tensorflow as tf

    from training import draw
    from training.models.torn import UNIFORMS, tear

    uniform = tf.random.stateless_uniform((len(images), UNIFORMS), (0, 0))
    groups = np.stack([np.roll(images, -turn, axis=0) for turn in range(PHOTOS_PER_TORN)], axis=1)
    photos = tf.constant(groups.reshape(-1, *images.shape[1:]) / np.float32(255))
    return draw.to_pixels(tear(photos, uniform).numpy())


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--shards", type=click.Path(path_type=Path, exists=True), default="data", help="A folder of shards.")
def main(shards: Path) -> None:
    """Score held-out photos of which none, a quarter, and all are torn."""
    with startup_messages_hidden():
        from training.metrics.evaluator import Evaluator, open_space

    train_photos, held_out = find([str(shards)]).divide("train")
    evaluator = Evaluator(train_photos, held_out, open_space("attributes", train_photos), tuple(METRICS))
    whole = evaluator.real[HELD_OUT].images
    rows = []
    for share in (0.0, 0.25, 1.0):
        is_torn = np.arange(len(whole)) % 4 < 4 * share
        images = np.where(is_torn[:, None, None, None], torn(whole), whole)
        figures = evaluator.figures(evaluator.real[TRAIN], evaluator.sample_of(images), f"{share:.0%} torn")
        rows.append((f"{share:.0%}", *(f"{figures[name]:.3g}" for name in METRICS)))
    print(table(("torn", *METRICS), rows))


if __name__ == "__main__":
    main()
