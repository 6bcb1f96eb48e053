"""One run is the same run on 1, 2 and 4 devices: how far the losses of every preset part over the first steps.

python tests/benchmarks/replicas.py --shards data/*.tfrecord [--steps 20] [--batch-size 16]

Goal: 1e-3 of D's and of G's loss over 20 steps, in float32. Before it stands what the first step alone parts them by:
Adam's first steps make of any difference near a gradient of 0 one as large as the learning rate. Beside it stands the
control: one device whose kernels add up in another order (TensorFlow without oneDNN). Where devices part no further
than that, what parts them is rounding. R3GAN has no such control: grouped convolutions have no gradient on a CPU
without oneDNN.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
from measure import table

from training.presets import PRESETS
from training.quiet import startup_chatter_hidden


def losses(preset: str, shards: Path, devices: int, steps: int, batch_size: int, kernels: str) -> np.ndarray:
    """D's and G's loss of each step: float64 [steps, 2]. Runs in a process of its own, which nothing else divides."""
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = kernels
    with startup_chatter_hidden():
        import tensorflow as tf

        from training.config import Config
        from training.engine import build_on, compile_steps, feed
        from training.progress import means
        from training.shards import find
        from training.strategy import choose

        over = choose("mirrored" if devices > 1 else "one", devices if devices > 1 else None)
    photos = find([str(shards)]).only({"train"})
    method = replace(PRESETS[preset], batch_size=batch_size, precision="float32")
    config = Config(preset, method, 0, "train", photos.count, photos.fingerprint, photos.image_shape, cache=False)
    pair, progress = build_on(over, config)
    run_steps, batches = compile_steps(pair, progress, config, over), feed(config, photos, over, 0)
    found = [means(run_steps(batches, tf.constant(1, tf.int64)).numpy(), 1)[:2] for _ in range(steps)]
    return np.nan_to_num(found)  # a step that does not update G has no loss of G


def alone(job: Callable[..., np.ndarray], *arguments: object) -> np.ndarray:
    """What a call returns in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(job, *arguments).result()


def apart(there: np.ndarray, here: np.ndarray) -> str:
    """The largest difference in the first step, and in any, as parts of what the loss is at most."""
    parts = np.max(np.abs(there - here) / np.max(np.abs(here), axis=0), axis=1)
    return f"{parts[0]:.1e}, {np.max(parts):.1e}"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--shards", type=click.Path(path_type=Path, exists=True), default="data", help="A folder of shards.")
@click.option("--steps", type=click.IntRange(min=1), default=20, help="Updates of D.")
@click.option("--batch-size", type=click.IntRange(min=4), default=16, help="A multiple of 4.")
@click.option("--presets", default=",".join(PRESETS), help="Which, separated by commas.")
def main(shards: Path, steps: int, batch_size: int, presets: str) -> None:
    """Compare."""
    rows = []
    for preset in presets.split(","):
        ways = [(1, "1"), (2, "1"), (4, "1")] + ([(1, "0")] if preset != "r3gan" else [])
        here, *others = (alone(losses, preset, shards, devices, steps, batch_size, on) for devices, on in ways)
        parted = [apart(there, here) for there in others]
        rows.append((preset, *parted, *["none"] * (3 - len(parted))))
        print(" ".join(rows[-1]), flush=True)
    print(table(("preset", "2 devices", "4 devices", "1 device, other kernels"), rows))


if __name__ == "__main__":
    main()
