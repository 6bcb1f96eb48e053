"""--dry-run: shapes, parameters, memory and time of a run, from a few steps that write nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass

import keras
import tensorflow as tf

from training.config import Config
from training.data.pipeline import damage_reported
from training.data.shards import ShardSet
from training.loop.engine import build_on, compile_steps, global_batches
from training.loop.failures import errors_reported
from training.loop.machine import memory_mb
from training.loop.strategy import Devices
from training.models.step import phases


@dataclass(frozen=True)
class Forecast:
    """Measurements of a few steps."""

    networks: list[str]
    """A line for each network: its inputs, its output, its parameters."""
    images_per_device: int
    step_seconds: float
    memory_mb: float

    def text(self, config: Config, total_steps: int) -> str:
        """Return the report on a run of `total_steps`."""
        per_second = config.method.batch_size / self.step_seconds
        return "\n".join(
            [
                *self.networks,
                f"A step takes {self.step_seconds:.3f} s, {per_second:,.1f} images/s, with {self.images_per_device} "
                f"images per device; {self.memory_mb:,.0f} MB at most.",
                f"An epoch takes {_hours(self.step_seconds * config.steps_per_epoch)}, all {total_steps:,} steps "
                f"{_hours(self.step_seconds * total_steps)}. Nothing was written (--dry-run).",
            ]
        )


def measure(config: Config, shards: ShardSet, devices: Devices) -> Forecast:
    """Build everything, take one step to compile and some to time; write nothing."""
    with errors_reported(devices, config), damage_reported(shards):
        gan, progress = build_on(devices, config)
        run_steps = compile_steps(gan, progress, config, devices)
        iterator = global_batches(config, shards, devices, 0)
        run_steps(iterator, tf.constant(1, tf.int64))
        # Not every step updates the generator or has penalties: whole cycles are timed.
        cycle = len(phases(config.method))
        count = cycle * max(1, 3 // cycle)
        began = time.monotonic()
        run_steps(iterator, tf.constant(count, tf.int64)).numpy()
        seconds = (time.monotonic() - began) / count
    networks = [_describe(gan.generator), _describe(gan.discriminator)]
    return Forecast(networks, config.method.batch_size // devices.replicas, seconds, memory_mb())


def _describe(network: keras.Model) -> str:
    inputs = ", ".join(_shape(entry.shape) for entry in network.inputs)
    return f"{network.name}: {inputs} -> {_shape(network.output_shape)}, {network.count_params():,} parameters"


def _shape(shape: tuple[int | None, ...]) -> str:
    return "x".join(map(str, shape[1:]))


def _hours(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
