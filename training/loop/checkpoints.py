"""The state of a run on disk: complete or not visible; the last few and the best are kept."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from click import UsageError

from system.files import publish, remove, replacing_by_zip, write_text
from training import draw
from training.models.gan import GAN, Progress, for_inference

MAX_KEPT = 3

_SUFFIXES = (".index", ".data-00000-of-00001")  # a checkpoint is visible by its index: written last, removed first


class Checkpoints:
    """The checkpoints of one run folder: checkpoints/step-N.index and its data.

    After a rollback the run passes the same steps again, so names count the rollbacks: step-N-rollback-1.
    No name is ever written twice with other content: a process killed between the two files would leave a mixture.
    """

    def __init__(self, folder: Path, gan: GAN, progress: Progress, output_dir: Path | None = None):
        """Open the checkpoints in a run's folder.

        Hosts whose files are discarded, but which have to save all the same, write to `output_dir` in its place.
        """
        self._folder, self._output_dir = folder / "checkpoints", (output_dir or folder) / "checkpoints"
        self._progress = progress
        parts = {field.name: getattr(gan, field.name) for field in fields(GAN)}
        self._state = tf.train.Checkpoint(**parts, progress=progress)
        variables = [variable for part in parts.values() for variable in part.variables]
        self._floats = [variable.value for variable in variables if tf.as_dtype(variable.dtype).is_floating]

    def restore(self) -> tuple[Path | None, list[str]]:
        """Restore the newest whole checkpoint; return its path or None, and a message for each one that was skipped."""
        skipped = []
        for path in _newest_first(self._folder):
            try:
                # Every tensor carries a checksum, and nothing is assigned before all of them are read.
                self._state.read(str(path)).assert_existing_objects_matched()
            except (tf.errors.OpError, ValueError, RuntimeError, AssertionError, IndexError) as error:
                # What was read whole, and does not fit, is what another version or preset saved.
                is_whole = isinstance(error, ValueError | AssertionError)
                fault = "of other networks or optimizers than the run's settings make" if is_whole else "damaged"
                skipped.append(f"{path} is {fault} and was skipped: {str(error).splitlines()[0][:120]}")
                continue
            return path, skipped
        return None, skipped

    def finite(self) -> bool:
        """Whether all weights and optimizer variables are finite."""
        return bool(tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in self._floats]))

    def save(self) -> Path:
        """Write a checkpoint, then remove all but the last few and the best."""
        for leftover in self._output_dir.glob("*partial-*"):  # of a run that was killed while it saved
            remove(leftover)
        step, rollbacks = int(self._progress.step.numpy()), int(self._progress.rollbacks.numpy())
        name = f"step-{step}-rollback-{rollbacks}" if rollbacks else f"step-{step}"
        partial = self._state.write(str(self._output_dir / f"partial-{step}"))
        for suffix in reversed(_SUFFIXES):
            publish(Path(f"{partial}{suffix}"), self._output_dir / f"{name}{suffix}")
        self._remove_old()
        return self._folder / name

    def mark_best(self, path: Path) -> None:
        """Keep this checkpoint, whatever comes later, in place of the former best."""
        self._output_dir.mkdir(exist_ok=True)  # a host that writes to another folder may not have saved yet
        write_text(self._output_dir / "best", path.name + "\n")
        self._remove_old()

    def best(self) -> Path | None:
        """Return the checkpoint that was marked as the best; None where none was or its mark cannot be read."""
        try:
            name = (self._output_dir / "best").read_text(encoding="utf-8").strip()
        except (FileNotFoundError, UnicodeDecodeError):
            return None
        return self._folder / name if _age(name) else None

    def _remove_old(self) -> None:
        best = self.best()
        kept = {path.name for path in _newest_first(self._output_dir)[:MAX_KEPT]} | ({best.name} if best else set())
        for suffix in _SUFFIXES:  # data without an index are left by a process that was killed between the two
            for path in self._output_dir.glob(f"step-*{suffix}"):
                name = path.name.removesuffix(suffix)
                if _age(name) and name not in kept:
                    path.unlink(missing_ok=True)


def networks_to_save(gan: GAN) -> dict[str, keras.Model]:
    """Return the networks that a run leaves in its folder, by the stem of their file's name.

    They compute in float32, which every processor does, and which exported files and the page are held against.
    """
    return {"generator": gan.generator_ema, "discriminator": for_inference(gan.discriminator)}


def load_networks(folder: Path) -> tuple[dict[str, keras.Model], str]:
    """Return those of `networks_to_save` that are in a run's folder, and the digest of the generator that was read.

    Raises UsageError where one cannot be read.
    """
    generator, digest = draw.load_with_digest(folder / "generator.keras")
    path = folder / "discriminator.keras"
    return {"generator": generator, **({"discriminator": draw.load(path)} if path.exists() else {})}, digest


def save_network(path: Path, network: keras.Model) -> None:
    """Write a network as a .keras file, which Keras loads."""
    with replacing_by_zip(path) as parts:
        network.save(parts, zipped=False)


def holds_network(path: Path, network: keras.Model) -> bool:
    """Whether this file holds the network as it is now."""
    try:
        saved = draw.load(path).get_weights()
    except UsageError:  # there is none, or it is damaged
        return False
    return all(map(np.array_equal, saved, network.get_weights()))


def _newest_first(folder: Path) -> list[Path]:
    visible = (path.with_suffix("") for path in folder.glob("step-*.index"))
    ages = {path: age for path in visible if (age := _age(path.name))}
    return sorted(ages, key=ages.__getitem__, reverse=True)


def _age(name: str) -> tuple[int, int] | None:
    """Return a key that orders checkpoints by age; None where the name is not that of a checkpoint."""
    match = re.fullmatch(r"step-(\d+)(?:-rollback-(\d+))?", name)
    return (int(match[2] or 0), int(match[1])) if match else None
