"""What flows from the shards to the networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import tensorflow as tf

ImageShape = tuple[int, int, int]  # height, width, channels


class Batch(NamedTuple):
    """Photos, and the labels that a run is conditioned on."""

    images: tf.Tensor  # uint8 [batch, height, width, channels]
    # float32 [batch, conditions], -1 or 1; None where a run is not conditioned. (An empty tensor would do too, but
    # TensorFlow 2.21 crashes where a dataset of empty tensors is unbatched.)
    labels: tf.Tensor | None = None

    def map(self, function: Callable[[tf.Tensor], tf.Tensor]) -> Batch:
        """Return the batch with each tensor replaced by what the function makes of it."""
        return Batch(*(None if rows is None else function(rows) for rows in self))
