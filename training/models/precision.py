"""float32 where rounding matters, bfloat16 where it may: the precision of layers against that of everything else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras


def full_precision() -> str:
    """Return the dtype of weights, network outputs, losses and random numbers, whatever layers compute in.

    It is Keras's floatx: float32, unless a test or `tests/benchmarks/replicas.py` sets float64.
    """
    return keras.config.floatx()


def in_full_precision(network: keras.Model) -> keras.Model:
    """Return the network, or a copy of it that computes in `full_precision` where it does not."""
    if all(layer.compute_dtype == full_precision() for layer in network.layers):
        return network

    copy = keras.models.clone_model(network, clone_function=layer_in_full_precision)
    copy.set_weights(network.get_weights())
    return copy


def layer_in_full_precision(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Return a layer of the same settings, without its weights, that computes in `full_precision`."""
    return type(layer).from_config({**layer.get_config(), "dtype": full_precision()})


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Build layers that compute in this precision, "float32" or "bfloat16"."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else full_precision())
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
