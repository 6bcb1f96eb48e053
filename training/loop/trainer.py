"""A run from its newest checkpoint to its end: training steps, checkpoints, rollbacks, stopping."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from click import ClickException, UsageError
from tqdm import tqdm

from training import config as configs
from training import draw
from training.config import Config
from training.data import labels
from training.data.reading import damage_reported, ending_downloads, read_images
from training.data.shards import ShardSet, are_unchanged
from training.draw import tile, write_png
from training.loop import collapse
from training.loop.checkpoints import Checkpoints, holds_network, networks_to_save, save_network
from training.loop.engine import NUM_VALUES, StepsResult, build_on, compile_steps, global_batches, means
from training.loop.failures import errors_reported
from training.loop.records import best
from training.loop.reporter import Reporter
from training.loop.signals import StopRequest, stop_on_signal
from training.loop.strategy import Devices, self_test
from training.loop.timetable import Timetable
from training.metrics import TRAIN
from training.metrics.evaluator import Evaluator

NUM_SAMPLES = 64
# Photos whose spread the generator's faces are compared with: any 256 of CelebA's come within 3 percent of all.
PHOTOS_TO_COMPARE = 256


def train(
    config: Config,
    shards: ShardSet,
    devices: Devices,
    timetable: Timetable,
    run_dir: Path,
    machine: Mapping[str, object],
    evaluator: Evaluator | None = None,
    begins_with: Mapping[str, keras.Model] | None = None,
) -> int:
    """Run from the newest checkpoint in `run_dir`, which all hosts read, to the end.

    Nothing is written before all of it is built; then config.json comes first, with `machine`, see `configs.save`.
    Returns the signal that stopped the run early, with everything saved, or 0. `evaluator` scores the generator; it is
    None without metrics, and on all hosts but the first. A new run begins with the networks `begins_with`, of
    `load_networks`. Raises UsageError where they do not fit, and ClickException where a loss, gradient or weight is not
    finite, a shard is damaged, memory is short, the devices do not add up, or another host is gone.
    """
    with errors_reported(devices, config), ending_downloads(shards), damage_reported(shards):
        if devices.replicas > 1:
            self_test(devices)
        with devices.writable(run_dir) as output_dir, stop_on_signal() as stop:
            trainer = Trainer(config, shards, devices, timetable, run_dir, output_dir, evaluator, begins_with)
            if devices.host == 0:
                configs.save(run_dir, config, machine)
            trainer.begin(run_dir)
            return trainer.run(stop)


class Trainer:
    """One run. Every host has one, and all take the same decisions: by step, or by what they agreed on."""

    def __init__(
        self,
        config: Config,
        shards: ShardSet,
        devices: Devices,
        timetable: Timetable,
        run_dir: Path,
        output_dir: Path,
        evaluator: Evaluator | None,
        begins_with: Mapping[str, keras.Model] | None,
    ):
        """Build everything and restore the newest checkpoint, write nothing; later this host writes to `output_dir`."""
        self.config, self.shards, self.devices, self.timetable = config, shards, devices, timetable
        self.output_dir, self.evaluator = output_dir, evaluator
        self.shards_replaced = False  # whether other shards have taken the place of the run's
        self.gan, self.progress = build_on(devices, config, begins_with)
        self.run_steps = compile_steps(self.gan, self.progress, config, devices)
        photos = read_images(shards.first(PHOTOS_TO_COMPARE))
        self.photo_spread = max(collapse.spread(photos), 1.0)  # a grey level, where all photos are the same
        self.checkpoints = Checkpoints(run_dir, self.gan, self.progress, output_dir)
        self.reporter = Reporter(output_dir, config, timetable)
        self.saved = self._restore()

    def begin(self, run_dir: Path) -> None:
        """Say where the run continues, and write what the run before may have left out; save a run that may go back."""
        self.sample_labels = self._keep_labels(run_dir) if self.config.conditions else None
        self._resume()
        if self.saved:
            print(f"Continuing from {self.saved}: {self.step:,} of {self.timetable.total_steps:,} steps are done.")
            # The run may have died between its checkpoint and what is written of it.
            for name, network in networks_to_save(self.gan).items():
                if self.devices.any_host(not holds_network(run_dir / f"{name}.keras", network)):
                    save_network(self.output_dir / f"{name}.keras", network)
            self._mark_if_best()
        elif self.timetable.max_rollbacks:
            self.saved = self.checkpoints.save()  # something to return to

    def run(self, stop: StopRequest) -> int:
        """Run all steps that are left; return the signal that stopped them early, or 0."""
        count = 1
        with self.reporter.progress_bar(self.step):
            while self.step < self.timetable.total_steps:
                result = self._run_steps(min(count, self.timetable.next_boundary(self.step) - self.step))
                # The hosts take the same decisions: any may be told to stop, and their clocks differ.
                stopped = self.devices.any_host(stop.signal > 0)
                is_time = time.monotonic() - self.saved_at > 60 * self.timetable.save_minutes
                saving = self.devices.any_host(stopped or is_time or self.timetable.is_boundary(self.step))
                count = self.devices.least(result.next_count)
                if saving:
                    self._refuse_replaced_shards()
                if not self._is_finite(result, saving):
                    self._roll_back(result)
                    continue
                if saving:
                    self._save()
                elif self.reporter.status_is_due:
                    self.reporter.report_status(self.step, self._rollbacks())
                if stopped:
                    return stop.signal or signal.SIGTERM  # which another host has got
        write_png(self.output_dir / "final.png", tile(self._faces(NUM_SAMPLES, self.sample_labels)))
        return 0

    def _run_steps(self, count: int) -> StepsResult:
        began = time.monotonic()
        sums = self.run_steps(self.iterator, tf.constant(count, tf.int64)).numpy()
        result = StepsResult(self.step, count, sums, time.monotonic() - began)
        self.step += count
        self.progress.epoch_seconds.assign_add(result.seconds)
        self.reporter.add_steps(self.step, count, sums)
        return result

    def _faces(self, count: int, labels: np.ndarray | None) -> np.ndarray:
        """Draw the first faces of the run's seed, the same z each time: uint8 [count, height, width, channels]."""
        return draw.faces(
            self.gan.generator_ema, count, self.config.seed, self.config.method.latent_distribution, labels
        )

    def _is_finite(self, result: StepsResult, saving: bool) -> bool:
        """Whether the run can go on. Checks weights too when saving: a bad update reaches the losses one step late."""
        if not np.isfinite(result.sums).all():
            return False
        return not (saving and self.devices.any_host(not self.checkpoints.finite()))

    def _keep_labels(self, run_dir: Path) -> np.ndarray:
        """Write which labels the photos have, for those who draw faces later; return those of the samples.

        Counting reads all shards: a run that is continued takes what it has written.
        """
        try:
            frequencies = labels.load(run_dir) if self.saved else None
        except UsageError:
            frequencies = None
        frequencies = frequencies or labels.count_labels(self.shards, self.config.conditions)
        labels.save(self.output_dir, frequencies)
        return frequencies.draw(NUM_SAMPLES, self.config.seed)

    # Checkpoints.

    def _restore(self, trouble: str = "") -> Path | None:
        """Restore the newest checkpoint that is whole; None where there is none at all. `trouble` led to this."""
        saved, skipped = self.checkpoints.restore()
        for line in skipped:
            tqdm.write(line)
        if skipped and saved is None:
            raise ClickException(f"{trouble}No checkpoint can continue the run: start again with another --out.")
        step = int(self.progress.step.numpy())
        if not self.devices.same_on_all(step):
            raise ClickException(
                f"The hosts read checkpoints of different steps (here {step}). Wait until all of them see the same "
                "files in the run's folder, and start again."
            )
        return saved

    def _resume(self) -> None:
        """Set everything to the step of the variables."""
        self.step = int(self.progress.step.numpy())
        self.reporter.restart(self.step)
        self.iterator = global_batches(self.config, self.shards, self.devices, self.step)
        self.saved_at = time.monotonic()

    def _save(self) -> None:
        """Record all that is known at this step, then the step itself: what was done after it is done again.

        What is made of a checkpoint comes last: where it cannot be written, nothing that was trained is lost.
        """
        faces = self._faces(NUM_SAMPLES, self.sample_labels)
        self.reporter.report_status(self.step, self._rollbacks(), collapse.spread(faces) / self.photo_spread)
        if self.timetable.ends_epoch(self.step):
            self._end_epoch(faces)
        # The first host alone has an evaluator; the others wait for it where they next compute together.
        if self.evaluator and self.timetable.is_scored(self.step):
            self.reporter.report_scores(self.step, self._score(self.evaluator))
        self.saved, self.saved_at = self.checkpoints.save(), time.monotonic()
        self._save_networks()
        self._mark_if_best()

    def _score(self, evaluator: Evaluator) -> dict[str, float]:
        """Return `Scores.values` of the generator as it is now."""
        scores = evaluator.score(evaluator.sample_of(self._faces(evaluator.count, evaluator.labels)))
        return {
            figure if split == TRAIN else f"{figure}_{split}": value
            for split, figures in scores.items()
            for figure, value in figures.items()
        }

    def _end_epoch(self, faces: np.ndarray) -> None:
        sums, seconds = self.progress.sums.numpy(), float(self.progress.epoch_seconds.numpy())
        self.reporter.report_epoch(self.step, sums, seconds, faces)
        if self.step % self.config.steps_per_epoch == 0:
            self.progress.sums.assign(tf.zeros(NUM_VALUES, tf.float64))
            self.progress.epoch_seconds.assign(0.0)

    def _save_networks(self, suffix: str = "") -> None:
        for name, network in networks_to_save(self.gan).items():
            save_network(self.output_dir / f"{name}{suffix}.keras", network)

    def _mark_if_best(self) -> None:
        """Keep what was just saved, or restored, where no scores are better than those of its step."""
        scores = best(self.reporter.records.scores, self.evaluator.names[0]) if self.evaluator else None
        if self.devices.any_host(scores is not None and scores.step == self.step) and self.saved:
            self._save_networks("-best")
            self.checkpoints.mark_best(self.saved)

    # What can go wrong.

    def _roll_back(self, result: StepsResult) -> None:
        """Return to the newest checkpoint, with half of the learning rates."""
        rollbacks = self._rollbacks()
        losses = means(result.sums, result.count)
        trouble = (
            f"A loss, gradient or weight is no longer finite between steps {result.first_step} and "
            f"{result.first_step + result.count} (D {losses.d_loss:.4g}, G {losses.g_loss:.4g})."
        )
        if rollbacks >= self.timetable.max_rollbacks:
            raise ClickException(f"{trouble} {self._advice(rollbacks)}")
        restored = self._restore(f"{trouble} ")
        if restored is None:
            raise ClickException(f"{trouble} Nothing has been saved to return to: start again with another --out.")
        self.progress.rollbacks.assign(rollbacks + 1)
        # At once: a run that dies now must not begin again with the rates that failed.
        self.saved = self.checkpoints.save()
        self._resume()
        self.reporter.move_bar(self.step)
        tqdm.write(
            f"{trouble} Returned to {restored.name} (rollback {rollbacks + 1} of at most "
            f"{self.timetable.max_rollbacks}); the learning rates are now {0.5 ** (rollbacks + 1):g} of their original "
            "values."
        )

    def _advice(self, rollbacks: int) -> str:
        kept = f"The last good checkpoint is {self.saved}." if self.saved else "Nothing has been saved since the start."
        settings = "--clip-norm 1, or half of --lr-g and --lr-d, with another --out"
        if rollbacks:
            return f"{kept} The run was rolled back {rollbacks} times already. Try {settings}."
        return f"{kept} Try {settings}; or --on-nan rollback, which continues this one at half the rates."

    def _refuse_replaced_shards(self) -> None:
        """Stop before anything is saved that was trained on other photos than the run's."""
        if self.shards_replaced or not self.devices.any_host(not are_unchanged(self.shards)):
            return
        self.shards_replaced = True
        folders = ", ".join(sorted({str(shard.folder) for shard in self.shards.shards}))
        trouble = f"The shards in {folders} have been replaced while this run trains on them."
        if not self.config.cache:
            kept = f"The run until {self.saved} is kept" if self.saved else "Nothing was saved yet"
            raise ClickException(
                f"{trouble} {kept}. Put the shards back and the same command continues, or train on the new ones with "
                "another --out."
            )
        tqdm.write(f"{trouble} It goes on with the photos in memory, but cannot be continued without these shards.")

    def _rollbacks(self) -> int:
        return int(self.progress.rollbacks.numpy())
