"""The command line of stage 2: python -m training.run."""

from __future__ import annotations

import json
import math
import re
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click import UsageError

from training import config as configs
from training.config import Config
from training.presets import PRESETS
from training.quiet import startup_chatter_hidden
from training.shards import ShardSet, find

if TYPE_CHECKING:
    from training.loop import Schedule
    from training.strategy import Devices


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 110})
@click.option(
    "--shards", multiple=True, metavar="SHARDS", help="Shards, a folder of them, or a pattern: --shards data/*.tfrecord"
)
@click.argument("more_shards", nargs=-1, metavar="[SHARDS]...")
@click.option(
    "--train-on",
    type=click.Choice(["train", "valid", "test", "all"]),
    default="train",
    help="Which split to learn from; the others are kept for evaluation.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), help="Learn from the first N photos only: for a try, or for speed."
)
@click.option(
    "--cache",
    type=click.Choice(["auto", "none", "ram"]),
    default="auto",
    help="Keep decoded photos in memory (4 KiB each), or stream them; auto keeps up to a quarter of free memory.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="The run's folder; the same command continues it.  [default: the next number under runs/]",
)
@click.option("--epochs", type=click.IntRange(min=1), default=20, help="How often every photo is seen.")
@click.option(
    "--kimg", type=click.FloatRange(0, min_open=True), help="Length in thousands of photos, instead of --epochs."
)
@click.option("--sample-every", type=click.IntRange(min=1), default=1, help="Epochs between grids of samples.")
@click.option("--save-minutes", type=click.FloatRange(0), default=10.0, help="Minutes between checkpoints in an epoch.")
@click.option("--status-seconds", type=click.FloatRange(0), default=10.0, help="Seconds between lines of status.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Decides weights, order and noise.")
@click.option(
    "--strategy",
    type=click.Choice(["auto", "one", "mirrored", "multi-worker", "tpu"]),
    default="auto",
    help="How devices are used; auto takes the TPU, the hosts of TF_CONFIG or SLURM, or all GPUs, whichever is there.",
)
@click.option(
    "--devices", "split", type=click.IntRange(min=2), help="Divide the CPU or a GPU into N devices, to try a strategy."
)
@click.option(
    "--deterministic", is_flag=True, help="The same bits whenever it is run, also on a GPU and after deaths; slower."
)
@click.option(
    "--dry-run", is_flag=True, help="Build everything, time a few steps, say what the run would be, write nothing."
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="classic",
    help="The method; what follows changes parts of it.",
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Photos a step, over all devices together.")
@click.option("--lr-g", type=click.FloatRange(0, min_open=True), help="Adam's learning rate for the generator.")
@click.option("--lr-d", type=click.FloatRange(0, min_open=True), help="Adam's learning rate for the discriminator.")
@click.option("--beta-1", type=click.FloatRange(0, 1, max_open=True), help="Adam's decay of the first moment.")
@click.option("--clip-norm", type=click.FloatRange(0, min_open=True), help="Scale longer gradients down to this norm.")
@click.option("--flip/--no-flip", default=None, help="Mirror every second photo.")
def main(
    shards: tuple[str, ...],
    more_shards: tuple[str, ...],
    train_on: str,
    limit: int | None,
    cache: str,
    out: Path | None,
    epochs: int,
    kimg: float | None,
    sample_every: int,
    save_minutes: float,
    status_seconds: float,
    seed: int,
    strategy: str,
    split: int | None,
    deterministic: bool,
    dry_run: bool,
    preset: str,
    **overrides: object,
) -> None:
    """Train a generator of faces on shards that python -m preprocess.run made.

    Where training is unstable, try --clip-norm 1, or half of --lr-g and --lr-d.
    """
    learnt, kept = divide(find([*shards, *more_shards] or ["data"]), train_on, limit)
    method = replace(PRESETS[preset], **{name: value for name, value in overrides.items() if value is not None})
    folder = out or next_folder(Path("runs"), preset)
    saved = configs.load(folder)
    refuse_foreign(folder, saved)
    if learnt.count < method.batch_size:
        raise UsageError(f"{learnt.count} photos do not fill one batch. Use --batch-size {learnt.count} or less.")

    with startup_chatter_hidden():
        from training import loop, pipeline
        from training import strategy as strategies

        devices = strategies.choose(strategy, split, deterministic)
    if devices.hosts > 1 and not out:
        raise UsageError("With several hosts --out must name one folder that all of them see.")
    # A run goes on as it began: what is free now must not change the order of its photos.
    fits = saved.get("cache") if saved else pipeline.fits_in_memory(learnt)
    cached = fits if cache == "auto" else cache == "ram"
    cached = not devices.agreed([not cached])[0]
    config = Config(preset, method, seed, train_on, learnt.count, learnt.fingerprint, learnt.image_shape, cached)
    if saved:
        refuse_changes(folder, configs.differences(saved, config))
    if not agrees(devices, config):
        raise UsageError("The hosts see different shards or were given different options. Give all of them the same.")
    schedule = loop.Schedule(total_steps(config, epochs, kimg), sample_every, save_minutes, status_seconds)

    with devices.speaking():
        print(
            f"Run {folder}: {schedule.total_steps:,} steps, {schedule.total_steps / config.steps_per_epoch:.4g} epochs"
        )
        print(configs.table(configs.rows(config)))
        print(describe_photos(learnt, kept, config))
        print(strategies.describe(devices, method.batch_size), flush=True)
        if dry_run:
            parameters, seconds = loop.measure(config, learnt, devices)
            print(forecast(parameters, seconds, config, schedule))
            return
        if devices.host == 0:
            folder.mkdir(parents=True, exist_ok=True)
            configs.save(folder, config)
        stopped_by = loop.train(config, learnt, devices, schedule, folder)
        if stopped_by:
            print(f"Stopped and saved. The same command with --out {folder} continues.")
            sys.exit(128 + stopped_by)
        print(f"Done, in {folder}: final.png has faces, losses.png the losses, generator.keras is the generator.")
        print(f"More faces: python -m training.sample --run {folder} --count 64 --seed 1 --out faces.png")


def agrees(devices: Devices, config: Config) -> bool:
    """Return whether every host is about to do the same."""
    digest = int(sha256(json.dumps(configs.rows(config)).encode()).hexdigest()[:12], 16)
    largest, negated_smallest = devices.agreed((digest, -digest))
    return largest == -negated_smallest


def divide(shards: ShardSet, train_on: str, limit: int | None) -> tuple[ShardSet, ShardSet]:
    """Return what is learnt from, and what is kept for evaluation."""
    splits = {shard.split for shard in shards.shards}
    wanted = splits if train_on == "all" else {train_on}
    if not wanted & splits:
        raise UsageError(f"No {train_on} shards among those given, only {', '.join(sorted(splits))}. Use --train-on.")
    learnt = shards.only(wanted)
    return (learnt.first(limit) if limit else learnt), shards.only(splits - wanted)


def next_folder(runs: Path, preset: str) -> Path:
    """Return the next numbered folder: runs/00001-classic where there is none."""
    numbers = [int(match[1]) for entry in runs.glob("*") if (match := re.match(r"(\d{5})-", entry.name))]
    return runs / f"{max(numbers, default=0) + 1:05d}-{preset}"


def refuse_foreign(folder: Path, saved: dict[str, object] | None) -> None:
    """Raise UsageError where the folder holds something that is not a run."""
    if saved is None and folder.exists() and any(folder.iterdir()):
        raise UsageError(
            f"{folder} holds something that is not a run (it has no {configs.FILE_NAME}). Choose another --out."
        )


def refuse_changes(folder: Path, changes: list[str]) -> None:
    """Raise UsageError where a run would be continued with other settings."""
    if changes:
        listed = "\n  ".join(changes)
        raise UsageError(
            f"{folder} holds a run with other settings; choose another --out, or ask for the same:\n  {listed}"
        )


def total_steps(config: Config, epochs: int, kimg: float | None) -> int:
    """Return the length of the run in steps."""
    return math.ceil(kimg * 1000 / config.method.batch_size) if kimg else epochs * config.steps_per_epoch


def describe_photos(learnt: ShardSet, kept: ShardSet, config: Config) -> str:
    """Say what is learnt from, what is kept for evaluation, and where the decoded photos are."""
    counts = {split: kept.only({split}).count for split in ("train", "valid", "test")}
    evaluation = ", ".join(f"{count:,} {split}" for split, count in counts.items() if count) or "none"
    memory = f"kept in memory ({learnt.count * learnt.image_bytes / 1e6:,.0f} MB)"
    return (
        f"Training on {learnt.count:,} photos ({config.train_on}); kept for evaluation: {evaluation}.\n"
        f"Decoded photos are {memory if config.cache else 'not kept: they are streamed from the shards'}."
    )


def forecast(parameters: dict[str, int], seconds: float, config: Config, schedule: Schedule) -> str:
    """Say what a run would be, from the seconds that a step takes."""
    sizes = ", ".join(f"{name} {count:,} parameters" for name, count in parameters.items())
    return (
        f"{sizes}.\n"
        f"A step takes {seconds:.3f} s, {config.method.batch_size / seconds:,.0f} images/s: "
        f"an epoch {seconds * config.steps_per_epoch / 60:.1f} minutes, all {seconds * schedule.total_steps / 60:.1f}. "
        "Nothing was written (--dry-run)."
    )


if __name__ == "__main__":
    main()
