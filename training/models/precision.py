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


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Build layers that compute in this precision, "float32" or "bfloat16"."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else full_precision())
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
