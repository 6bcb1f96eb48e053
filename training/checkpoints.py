"""The state of a run on disk: complete or not visible, the last few kept."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from training.step import Pair

KEPT = 3


class Progress(tf.Module):
    """How far a run is."""

    def __init__(self):
        super().__init__()
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        # Float64 sums over the steps of the running epoch: the same to the last bit whether or not the run stopped
        # within it.
        self.loss_sums = tf.Variable([0.0, 0.0], dtype=tf.float64, trainable=False)
        self.epoch_seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)


class Checkpoints:
    """The checkpoints of one run folder."""

    def __init__(self, folder: Path, pair: Pair, progress: Progress):
        state = tf.train.Checkpoint(
            generator=pair.generator.network,
            generator_optimizer=pair.generator.optimizer,
            discriminator=pair.discriminator.network,
            discriminator_optimizer=pair.discriminator.optimizer,
            progress=progress,
        )
        self._state = state
        self._manager = tf.train.CheckpointManager(state, str(folder / "checkpoints"), KEPT, checkpoint_name="step")

    def restore(self) -> Path | None:
        """Restore the newest checkpoint, and say which; None where there is none."""
        newest = self._manager.latest_checkpoint
        if newest is None:
            return None
        self._state.restore(newest).assert_existing_objects_matched()
        return Path(newest)

    def save(self, step: int) -> Path:
        """Write a checkpoint."""
        return Path(self._manager.save(checkpoint_number=step))
