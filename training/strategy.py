"""Which `tf.distribute` strategy, and how it is described to the user."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf
from click import UsageError


def choose(name: str) -> tf.distribute.Strategy:
    """The strategy of that name; "auto" is "mirrored" where there are several GPUs, else "one".

    Raises:
        UsageError: "mirrored" with nothing to mirror over.
    """
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    devices = [device.name for device in tf.config.list_logical_devices("GPU" if gpus else "CPU")]
    if name == "mirrored" and len(devices) < 2:
        raise UsageError("--strategy mirrored needs two devices or more; here there is one. Use --strategy auto.")
    if name == "mirrored" or (name == "auto" and len(devices) > 1):
        return mirrored(devices)
    return tf.distribute.OneDeviceStrategy(devices[0])


def mirrored(devices: list[str]) -> tf.distribute.MirroredStrategy:
    """MirroredStrategy over these devices."""
    if any("CPU" in device for device in devices):
        # Between logical CPUs the default, collective operations, waits for ever where there are fewer cores than
        # devices: each holds a thread of the pool until all have come.
        return tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())
    return tf.distribute.MirroredStrategy(devices)


def distribute(strategy: tf.distribute.Strategy, dataset: tf.data.Dataset) -> Iterator:
    """Iterate over global batches, each divided over the replicas in order."""
    # Fetching ahead is for GPUs. Between logical CPUs it saves no copy, and its threads took up to two minutes to end.
    to_device = any("GPU" in device for device in strategy.extended.worker_devices)
    options = tf.distribute.InputOptions(experimental_fetch_to_device=to_device)
    return iter(strategy.experimental_distribute_dataset(dataset, options))


def describe(strategy: tf.distribute.Strategy, batch_size: int) -> str:
    """One line: which strategy, over which devices, which batch.

    Raises:
        UsageError: the global batch does not divide.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        down = batch_size - batch_size % replicas
        raise UsageError(
            f"A batch of {batch_size} does not divide over {replicas} devices. Use --batch-size {down or replicas}."
        )
    devices = ", ".join(device.split("/")[-1].removeprefix("device:") for device in strategy.extended.worker_devices)
    return f"{type(strategy).__name__} over {devices}; batch {batch_size}, {batch_size // replicas} a device."
