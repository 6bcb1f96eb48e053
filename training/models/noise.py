"""Random numbers as a pure function of (seed, step, purpose, index in the global batch).

`keras.random` and `tf.random.Generator` keep a state that must be saved and that all replicas share. Here nothing is
kept: a run that continues, and a run on any number of devices, draws what one undisturbed device would have drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import tensorflow as tf

from training.models.precision import full_precision


class Purpose(IntEnum):
    """What random numbers are for; each purpose has its own streams."""

    LATENT = 0
    FLIP = 1
    DISCRIMINATOR_REAL = 2
    DISCRIMINATOR_FAKE = 3
    GENERATOR = 4
    SAMPLE = 5
    GENERATOR_REAL = 6
    INTERPOLATION = 7
    DISCRIMINATOR_BETWEEN = 8
    TEAR = 9
    DISCRIMINATOR_TORN = 10


@dataclass(frozen=True)
class Noise:
    """The random numbers of one step on one replica."""

    seed: int
    step: tf.Tensor  # int64 scalar
    first: tf.Tensor | int  # index of this replica's first example in the global batch
    batch: int  # number of examples of this replica

    def uniform(self, purpose: Purpose, shape: tuple[int, ...], stream: int = 0) -> tf.Tensor:
        """Return float32 [batch, *shape] in [0, 1); `stream` tells apart several draws for one purpose."""
        return _rows_of_uniform((self.seed, self.step, purpose, stream), self.first, self.batch, shape)

    def latent(self, size: int, distribution: str) -> tf.Tensor:
        """Return z: float32 [batch, size]."""
        return latent((self.seed, self.step, Purpose.LATENT), self.first, self.batch, size, distribution)


def latent(
    path: tuple[int | tf.Tensor, ...], first: tf.Tensor | int, count: int, size: int, distribution: str
) -> tf.Tensor:
    """Return rows `first` to `first + count` of an endless table of z, float32 [count, size].

    `path` is the table: a seed, then what tells this table from the seed's other ones. `distribution` is "uniform" for
    U(-1, 1) or "normal" for N(0, 1).
    """
    if distribution == "uniform":
        return 2.0 * _rows_of_uniform((*path, 0), first, count, (size,)) - 1.0
    # Box-Muller, because it turns each row's own uniforms into that row's normals. 1 - u keeps the logarithm finite.
    radius = tf.sqrt(-2.0 * tf.math.log(1.0 - _rows_of_uniform((*path, 0), first, count, (size,))))
    angle = 2.0 * math.pi * _rows_of_uniform((*path, 1), first, count, (size,))
    return radius * tf.cos(angle)


def _rows_of_uniform(
    path: tuple[int | tf.Tensor, ...], first: tf.Tensor | int, count: int, shape: tuple[int, ...]
) -> tf.Tensor:
    """Return rows of an endless table of float32 in [0, 1).

    Philox is a counter: number i of a stream comes from counter i // 4, so a replica starts its counter at its own
    rows and draws no other replica's. A row is padded to a multiple of four numbers to begin on a counter.
    """
    seed = tf.zeros(2, tf.int32)
    for part in path:
        seed = tf.random.fold_in(seed, tf.cast(part, tf.int64))
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    numbers = math.prod(shape)
    counters_per_row = -(-numbers // 4)
    start = tf.cast(first, tf.uint64) * tf.constant(counters_per_row, tf.uint64)
    rows = tf.raw_ops.StatelessRandomUniformV2(
        shape=[count, counters_per_row * 4],
        key=key,
        counter=counter + tf.stack([start, tf.zeros([], tf.uint64)]),
        alg=1,
    )
    return tf.cast(tf.reshape(rows[:, :numbers], [count, *shape]), full_precision())
