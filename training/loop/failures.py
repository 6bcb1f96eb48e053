"""Errors of TensorFlow and of files as one message each, which says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
from click import ClickException

from system.command import os_errors_reported
from training.config import Config
from training.loop.strategy import Devices

# A collective operation ends with these on the other hosts, some ten seconds after one of them is gone.
_HOST_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError)


@contextmanager
def lost_hosts_reported(devices: Devices) -> Iterator[None]:
    """Raise ClickException where another host is gone; let other errors pass."""
    try:
        yield
    except _HOST_LOST as error:
        if devices.hosts == 1:
            raise
        raise ClickException(
            f"Another host is gone ({error.message.splitlines()[0][:200]}). "
            "Start the same command on all hosts again: the run continues from its newest checkpoint."
        ) from None


@contextmanager
def errors_reported(devices: Devices, config: Config) -> Iterator[None]:
    """Raise ClickException for files, lack of memory and a lost host; let others pass."""
    try:
        with lost_hosts_reported(devices), os_errors_reported():
            yield
    except tf.errors.ResourceExhaustedError as error:
        per_device = config.micro_batch or config.method.batch_size // devices.replicas
        smaller = next((size for size in range(per_device // 2, 0, -1) if per_device % size == 0), 1)
        raise ClickException(
            f"Out of memory with a batch of {config.method.batch_size} over {devices.replicas} devices "
            f"({error.message.splitlines()[0][:200]}). Try --micro-batch {smaller}: the same batch, computed in parts."
        ) from None
