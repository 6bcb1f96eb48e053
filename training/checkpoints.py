"""The state of a run on disk: complete or not visible, the last few kept."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import tensorflow as tf

from training.files import publish
from training.step import Pair

KEPT = 3


class Progress(tf.Module):
    """How far a run is."""

    def __init__(self):
        super().__init__()
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        # What the steps of the running epoch returned, summed in float64: the same to the last bit whether or not the
        # run stopped within it.
        self.sums = tf.Variable(tf.zeros(4, tf.float64), trainable=False)
        self.epoch_seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)


class Checkpoints:
    """The checkpoints of one run folder: checkpoints/step-N.index and its data."""

    def __init__(self, folder: Path, pair: Pair, progress: Progress):
        self._folder = folder / "checkpoints"
        self._state = tf.train.Checkpoint(
            generator=pair.generator.network,
            generator_optimizer=pair.generator.optimizer,
            discriminator=pair.discriminator.network,
            discriminator_optimizer=pair.discriminator.optimizer,
            progress=progress,
        )

    def restore(self) -> tuple[Path | None, list[str]]:
        """Restore the newest checkpoint that is whole.

        Returns:
            Which one, None where there is none; and a line for each damaged one that was passed over.
        """
        damaged = []
        for path in _newest_first(self._folder):
            try:
                # Every tensor carries a checksum: damage shows here, before anything is assigned.
                reader = tf.train.load_checkpoint(str(path))
                for name in reader.get_variable_to_shape_map():
                    reader.get_tensor(name)
                self._state.read(str(path)).assert_existing_objects_matched()
            except (tf.errors.OpError, ValueError, RuntimeError, AssertionError, IndexError) as error:
                damaged.append(f"{path} is damaged and passed over: {str(error).splitlines()[0][:120]}")
                continue
            return path, damaged
        return None, damaged

    def save(self, step: int) -> Path:
        """Write a checkpoint, then remove all but the last few."""
        self._folder.mkdir(exist_ok=True)
        for leftover in self._folder.glob("partial-*"):  # of a run that was killed while it saved
            leftover.unlink() if leftover.is_file() else shutil.rmtree(leftover)
        path = self._folder / f"step-{step}"
        written = Path(self._state.write(str(self._folder / f"partial-{step}")))
        # The index is renamed last: a checkpoint is visible by its index.
        for suffix in (".data-00000-of-00001", ".index"):
            publish(written.with_name(written.name + suffix), path.with_name(path.name + suffix))
        for old in _newest_first(self._folder)[KEPT:]:
            for suffix in (".index", ".data-00000-of-00001"):
                old.with_name(old.name + suffix).unlink(missing_ok=True)
        return path


def _newest_first(folder: Path) -> list[Path]:
    matches = (re.fullmatch(r"step-(\d+)\.index", path.name) for path in folder.glob("step-*.index"))
    return [folder / f"step-{step}" for step in sorted((int(match[1]) for match in matches if match), reverse=True)]
