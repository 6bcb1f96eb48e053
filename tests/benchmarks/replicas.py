"""One run is the same run on 1, 2 and 4 devices: how far the losses of every preset part over the first steps.

python tests/benchmarks/replicas.py --shards data [--presets classic,lite] [--steps 20] [--batch-size 16]

Goal: 1e-3 of D's and of G's loss over 20 steps, in float32. Before it stands what the first step alone parts them by.
Beside it stands the same in float64: what shrinks there by as much as the floats became finer is rounding, and nothing
else. Adam's first steps make of any difference near a gradient of 0 one as large as the learning rate. Grouped
convolutions have no gradient in float64 on a CPU; R3GAN, which has no statistics of the batch either, is compared with
one device that takes the batch in four parts.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
from measure import table

from training.command import startup_messages_hidden
from training.presets import PRESETS


@dataclass(frozen=True)
class Way:
    """How to compute the same steps."""

    devices: int
    floats: str = "float32"
    micro_batch: int | None = None


def losses(preset: str, shards: Path, shrink: int, steps: int, batch_size: int, way: Way) -> np.ndarray:
    """D's and G's loss of each step: float64 [steps, 2]. Runs in a process of its own, which nothing else divides."""
    with startup_messages_hidden():
        import keras
        import tensorflow as tf

        from training.config import Config
        from training.data.pipeline import batches
        from training.data.shards import find
        from training.loop.engine import build_on, compile_steps, means
        from training.loop.strategy import choose

        over = choose("mirrored" if way.devices > 1 else "one", way.devices if way.devices > 1 else None)
    keras.config.set_floatx(way.floats)
    photos = find([str(shards)]).only({"train"})
    method = replace(PRESETS[preset], batch_size=batch_size, precision="float32")
    height, width, channels = photos.image_shape
    shape = (height // shrink, width // shrink, channels)
    config = Config(preset, method, 0, "train", photos.count, photos.fingerprint, shape, False, way.micro_batch)
    gan, progress = build_on(over, config)
    run_steps = compile_steps(gan, progress, config, over)
    shrunk = batches(photos, batch_size, 0, 0, cache=False).map(
        lambda batch: batch.map(lambda pixels: pixels[:, ::shrink, ::shrink])
    )
    fed = over.batches(shrunk)
    of_steps = [means(run_steps(fed, tf.constant(1, tf.int64)).numpy(), 1)[:2] for _ in range(steps)]
    return np.nan_to_num(of_steps)  # a step that does not update G has no loss of G


def alone(job: Callable[..., np.ndarray], *arguments: object) -> np.ndarray:
    """What a call returns in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(job, *arguments).result()


def apart(one: np.ndarray, other: np.ndarray) -> str:
    """The largest difference in the first step, and in any, as parts of what the loss is at most."""
    parts = np.max(np.abs(other - one) / np.max(np.abs(one), axis=0), axis=1)
    return f"{parts[0]:.1e}, {np.max(parts):.1e}"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--shards", type=click.Path(path_type=Path, exists=True), default="data", help="A folder of shards.")
@click.option("--steps", type=click.IntRange(min=1), default=20, help="Updates of D.")
@click.option("--batch-size", type=click.IntRange(min=4), default=16, help="A multiple of 4.")
@click.option("--shrink", type=click.IntRange(min=1), default=1, help="Take only every so many pixels.")
@click.option("--presets", default=",".join(PRESETS), help="Which, separated by commas.")
def main(shards: Path, steps: int, batch_size: int, shrink: int, presets: str) -> None:
    """Compare."""
    in_parts = Way(1, micro_batch=batch_size // 4)
    comparisons = {
        "2 devices": (Way(1), Way(2)),
        "4 devices": (Way(1), Way(4)),
        "4 devices, float64": (Way(1, "float64"), Way(4, "float64")),
        "1 device, in parts": (Way(1), in_parts),
    }
    rows = []
    for preset in presets.split(","):
        left_out = "4 devices, float64" if preset == "r3gan" else "1 device, in parts"
        ways = {way for name, pair in comparisons.items() if name != left_out for way in pair}
        by_way = {way: alone(losses, preset, shards, shrink, steps, batch_size, way) for way in ways}
        compared = {name: apart(*map(by_way.get, pair)) for name, pair in comparisons.items() if name != left_out}
        rows.append((preset, *(compared.get(name, "") for name in comparisons)))
        print(" | ".join(rows[-1]), flush=True)
    print(table(("preset", *comparisons), rows))


if __name__ == "__main__":
    main()
