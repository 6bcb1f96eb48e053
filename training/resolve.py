"""From the options of training.run to what a run is: checked, completed, and agreed on by all hosts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click import UsageError

from system.lock import NAME as LOCK_NAME
from training import config as configs
from training.batch import ImageShape
from training.config import Config, SavedRun
from training.data.shards import ShardSet
from training.loop.timetable import MAX_ROLLBACKS, Timetable
from training.presets import PHOTOS_PER_TORN, SIGNED_LOSSES, CosineSchedule, Precision, Preset

if TYPE_CHECKING:
    from training.loop.strategy import Devices


def split_shards(shards: ShardSet, train_on: str, limit: int | None) -> tuple[ShardSet, ShardSet]:
    """Return the shards to train on, and those held out for evaluation."""
    train_shards, held_out = shards.divide(train_on)
    if not train_shards.count:
        splits = ", ".join(sorted(shards.splits))
        raise UsageError(f"No {train_on} shards among those given, only {splits}. Use --train-on.")
    return (train_shards.first(limit) if limit else train_shards), held_out


def timetable_of(config: Config, options: Mapping[str, Any], is_scored: bool) -> Timetable:
    """Return when the run ends, saves and scores, by the command line's options."""
    return Timetable(
        total_steps=steps_of(config, options["kimg"]) or options["epochs"] * config.steps_per_epoch,
        steps_per_epoch=config.steps_per_epoch,
        sample_every=options["sample_every"],
        save_minutes=options["save_minutes"],
        status_seconds=options["status_seconds"],
        save_steps=steps_of(config, options["save_kimg"]),
        score_steps=steps_of(config, options["metrics_kimg"]) if is_scored else None,
        max_rollbacks=MAX_ROLLBACKS if options["on_nan"] == "rollback" else 0,
    )


def steps_of(config: Config, kimg: float | None) -> int | None:
    """Return how many steps take so many thousand photos."""
    return math.ceil(kimg * 1000 / config.method.batch_size) if kimg else None


def init_of(init: Path | None, continued: Config | None) -> tuple[str | None, str | None]:
    """Return `Config.init` and `Config.init_generator`; raise UsageError where `init` is not a run.

    A run that is continued, whose settings are `continued`, keeps its own where no other is asked for: whatever has
    become of the run that it began with, it can go on.
    """
    from training import draw

    if continued and str(init or continued.init) == str(continued.init):
        return continued.init, continued.init_generator
    if not init:
        return None, None
    digest = draw.digest(configs.load_with_generator(init)[1])
    if continued and digest == continued.init_generator:  # the same by another path
        return continued.init, digest
    return str(init), digest


# What all hosts decide together. Each reads the same folder, but their memory and processors may differ.


def agree_on_precision(
    devices: Devices, method: Preset, saved: SavedRun | None, is_given: bool
) -> tuple[Precision, str]:
    """Return the precision that all hosts can train in, and a remark on why it is not the preset's, or ""."""
    from training.loop.machine import choose_precision

    wanted = method.precision if is_given or not saved else saved.config.method.precision
    precision, remark = choose_precision(method.network, method.width, wanted, is_given)
    return ("float32" if devices.any_host(precision == "float32") else precision), remark


def agree_on_cache(devices: Devices, cache: str, shards: ShardSet, saved: SavedRun | None) -> bool:
    """Return whether photos are kept in memory: "auto" continues as the run began, since it changes their order."""
    from training.loop.machine import fits_in_memory

    fits = saved.config.cache if saved else fits_in_memory(shards.count * shards.image_bytes)
    return devices.all_hosts(fits if cache == "auto" else cache == "ram")


def check_agreement(devices: Devices, config: Config, timetable: Timetable) -> None:
    """Raise UsageError where the hosts are about to do different things."""
    plan = json.dumps([configs.rows(config), asdict(timetable)])
    if not devices.same_on_all(int(sha256(plan.encode()).hexdigest()[:12], 16)):
        raise UsageError(
            "The hosts see different shards or another run in --init, or were given different options. Give all of "
            "them the same."
        )


# What is refused, before anything is written.


def check_folder(folder: Path | None) -> None:
    """Raise UsageError where the folder holds something that is not a run, or a run that cannot be continued."""
    if not folder or not folder.exists() or all(path.name.startswith(LOCK_NAME) for path in folder.iterdir()):
        return
    if configs.load(folder) is None:
        raise UsageError(
            f"{folder} holds something that is not a run (it has no {configs.FILE_NAME}). Choose another --out."
        )
    if (folder / "generator.keras").exists() and not has_checkpoint(folder):
        raise UsageError(
            f"{folder} holds a trained generator without the checkpoints that continue it, and a new run would replace "
            f"it. Choose another --out; --init {folder} begins with its weights."
        )


def has_checkpoint(folder: Path) -> bool:
    """Whether a run has saved anything, whole or damaged: only before that may it begin with other settings."""
    return any((folder / "checkpoints").glob("step-*.index"))


def check_photos_fill_a_batch(batch_size: int, photos: int) -> None:
    """Raise UsageError where the photos do not fill one batch."""
    if photos < batch_size:
        raise UsageError(f"{photos} photos do not fill one batch. Use --batch-size {photos} or less.")


def conditions_of(shards: ShardSet, condition: str) -> str:
    """Return the attributes that are meant, separated by commas: "all" are all that the shards have.

    Raises UsageError where the shards do not have them.
    """
    if not condition:
        return ""
    listed = shards.attribute_names
    if condition == "all" and "all" not in listed:
        return ",".join(listed)
    if missing := [name for name in condition.split(",") if name not in listed]:
        raise UsageError(
            f"Conditions {condition}: the shards have no attribute {missing[0]!r}, but {', '.join(listed)}."
        )
    return condition


def check_schedules(method: Preset) -> None:
    """Raise UsageError where a setting goes from one value to another, and nothing says over how many photos."""
    schedules = {name: value for name, value in vars(method).items() if isinstance(value, CosineSchedule)}
    changing = [f"--{name.replace('_', '-')} {value}" for name, value in schedules.items() if value.end is not None]
    if changing and not method.ramp_kimg:
        raise UsageError(f"{', '.join(changing)}: say over how many thousand photos, with --ramp-kimg.")


def check_augment_target(method: Preset) -> None:
    """Raise UsageError where the probability of augmentations cannot adapt to D's logits for photos."""
    if method.augment_target is None:
        return
    if not method.augment:
        raise UsageError("--augment-target adapts the probability of augmentations: say which, such as --augment ada.")
    if method.augment_probability != Preset().augment_probability:
        raise UsageError(
            f"--augment-target {method.augment_target} adapts the probability that --augment-probability "
            f"{method.augment_probability} sets: choose one of them; --augment-probability 1 takes back a preset's."
        )
    if method.loss not in SIGNED_LOSSES:
        raise UsageError(
            f"--augment-target goes by the sign of D's logits for photos, which says nothing with --loss {method.loss}:"
            " its losses are of differences between logits. Use --augment-probability, or another --loss."
        )


def check_image_shape(image_shape: ImageShape) -> None:
    """Raise UsageError where networks cannot be built for images of this shape."""
    from training.models.networks.layers import num_upsamplings

    try:
        num_upsamplings(image_shape)
    except ValueError as error:
        raise UsageError(f"{error}. Make shards of such images.") from None


def check_micro_batch(images_per_device: int, micro_batch: int | None) -> None:
    """Raise UsageError where a device's share of a batch is not a whole number of micro-batches."""
    if micro_batch and images_per_device % micro_batch:
        sizes = range(1, min(micro_batch, images_per_device) + 1)
        divisor = max(size for size in sizes if images_per_device % size == 0)
        raise UsageError(
            f"--micro-batch {micro_batch} does not divide the {images_per_device} photos per device. "
            f"Use --micro-batch {divisor}."
        )


def check_torn(images_at_once: int, torn: float) -> None:
    """Raise UsageError where the photos that a device computes at once are not whole groups of torn photos."""
    if torn and images_at_once % PHOTOS_PER_TORN:
        raise UsageError(
            f"--torn makes a torn photo of {PHOTOS_PER_TORN} photos, which do not divide the {images_at_once} that a "
            f"device computes at once. Use --batch-size (per device) or --micro-batch of a multiple of "
            f"{PHOTOS_PER_TORN}, or --torn 0."
        )


def check_init(init: Path, config: Config) -> None:
    """Raise UsageError where the networks of the run in `init` are others than those of this config."""
    run, _ = configs.load_with_generator(init)
    if others := "\n  ".join(configs.differences(run, config, configs.OF_NETWORKS)):
        raise UsageError(f"--init {init}: its networks are others; name another run, or ask for the same:\n  {others}")


def check_unchanged(folder: Path, saved: Config, config: Config) -> None:
    """Raise UsageError where a run would be continued with other settings."""
    if changes := "\n  ".join(configs.differences(saved, config)):
        raise UsageError(
            f"{folder} holds a run with other settings; choose another --out, or ask for the same:\n  {changes}"
        )
