"""Trouble that is not ours, in words: what TensorFlow and the disk raise becomes one message that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
from click import ClickException

from training.config import Config
from training.loop.strategy import Devices

# What a collective operation ends with on the other hosts, within some ten seconds of a host's death.
_HOST_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError)


@contextmanager
def failures_of_files_in_words() -> Iterator[None]:
    """Raise ClickException for a damaged shard and for what the disk refuses; let the rest pass."""
    try:
        yield
    except tf.errors.DataLossError as error:
        raise ClickException(
            f"A shard is damaged ({error.message}). Find it with: python -m preprocess.verify FOLDER"
        ) from None
    except OSError as error:
        raise ClickException(_refused(error.filename or "A file", error.strerror or str(error))) from None


@contextmanager
def lost_hosts_in_words(devices: Devices) -> Iterator[None]:
    """Raise ClickException where another host is gone; let the rest pass."""
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
def failures_in_words(devices: Devices, config: Config) -> Iterator[None]:
    """The same, and for too little memory and a lost host."""
    try:
        with lost_hosts_in_words(devices), failures_of_files_in_words():
            yield
    except tf.errors.ResourceExhaustedError as error:
        if "No space left" in error.message:
            raise ClickException(_refused("A checkpoint", "no space is left on the disk")) from None
        a_device = config.micro_batch or config.method.batch_size // devices.replicas
        smaller = next((part for part in range(a_device // 2, 0, -1) if a_device % part == 0), 1)
        raise ClickException(
            f"Out of memory with a batch of {config.method.batch_size} over {devices.replicas} devices "
            f"({error.message.splitlines()[0][:200]}). Try --micro-batch {smaller}: the same batch, in parts."
        ) from None


def _refused(what: str, why: str) -> str:
    return f"{what}: {why}. Make room or see to its rights; the same command continues."
