"""--dry-run: shapes, parameters, memory and time of a run, from a few steps that write nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping

import keras
import tensorflow as tf

from training.config import Config
from training.data.reading import damage_reported, ending_downloads
from training.data.shards import ShardSet
from training.loop.engine import build_on, compile_steps, global_batches
from training.loop.failures import errors_reported
from training.loop.machine import memory_mb
from training.loop.strategy import Devices
from training.loop.timetable import clock
from training.models.step import phases


def forecast(
    config: Config,
    shards: ShardSet,
    devices: Devices,
    total_steps: int,
    begins_with: Mapping[str, keras.Model] | None = None,
) -> str:
    """Build everything, take one step to compile and some to time, and return the report; write nothing."""
    with errors_reported(devices, config), ending_downloads(shards), damage_reported(shards):
        gan, progress = build_on(devices, config, begins_with)
        run_steps = compile_steps(gan, progress, config, devices)
        iterator = global_batches(config, shards, devices, 0)
        run_steps(iterator, tf.constant(1, tf.int64))
        # Not every step updates the generator or has penalties: whole cycles are timed.
        cycle = len(phases(config.method))
        count = cycle * max(1, 3 // cycle)
        began = time.monotonic()
        run_steps(iterator, tf.constant(count, tf.int64)).numpy()
        seconds = (time.monotonic() - began) / count
    batch_size = config.method.batch_size
    return "\n".join(
        [
            _describe(gan.generator),
            _describe(gan.discriminator),
            f"A step takes {seconds:.3f} s, {batch_size / seconds:,.1f} images/s, with "
            f"{batch_size // devices.replicas} images per device; {memory_mb():,.0f} MB at most.",
            f"An epoch takes {clock(seconds * config.steps_per_epoch)}, all {total_steps:,} steps "
            f"{clock(seconds * total_steps)}. Nothing was written (--dry-run).",
        ]
    )


def _describe(network: keras.Model) -> str:
    inputs = ", ".join(_shape(entry.shape) for entry in network.inputs)
    return f"{network.name}: {inputs} -> {_shape(network.output_shape)}, {network.count_params():,} parameters"


def _shape(shape: tuple[int | None, ...]) -> str:
    return "x".join(map(str, shape[1:]))
