"""The command line of stage 2: python -m training.run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import click
from click import UsageError

from system.command import LocalPath, Number
from training import config as configs
from training import resolve
from training.command import startup_messages_hidden
from training.config import Config
from training.data.shards import ShardSet
from training.loop.lock import locked_run_folder, next_folder
from training.loop.timetable import Timetable
from training.metrics import MAY_CHOOSE
from training.options import (
    SEED,
    FindShards,
    GroupedCommand,
    NameList,
    feature_options,
    method_options,
    shards_options,
)
from training.presets import PRESETS, Preset

RUNS = Path("runs")


@click.command(cls=GroupedCommand)
@shards_options
@click.option(
    "--train-on",
    type=click.Choice(["train", "valid", "test", "all"]),
    default="train",
    help="Split to train on; the others are held out for evaluation.",
)
@click.option(
    "--condition",
    type=NameList(),
    default="",
    show_default="none",
    help="Attributes of the shards that faces are drawn by, separated by commas: Male,Smiling; or all. Then see: "
    "explore.sample --set.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Train on the first N photos only.")
@click.option(
    "--cache",
    type=click.Choice(["auto", "none", "ram"]),
    default="auto",
    help="Keep decoded photos in memory (4 KiB each at 64x64 grey), or stream them; auto: in memory up to a quarter of "
    "what is free.",
)
@click.option(
    "--out",
    type=LocalPath(path_type=Path, file_okay=False),
    help="Run folder; the same command continues the run in it.  [default: the next number under runs/]",
)
@click.option(
    "--init",
    type=LocalPath(path_type=Path),
    metavar="RUN",
    help="Folder of a trained run with the same networks: begin with its weights, at step 0 and with new optimizers.",
)
@click.option("--epochs", type=click.IntRange(1, 1_000_000), default=20, help="Passes over the training photos.")
@click.option("--kimg", type=Number(0, 1e9, min_open=True), help="Length in thousands of photos, instead of --epochs.")
@click.option("--sample-every", type=click.IntRange(min=1), default=1, help="Epochs between grids of samples.")
@click.option("--save-minutes", type=Number(0), default=10.0, help="Minutes between checkpoints within an epoch.")
@click.option("--save-kimg", type=Number(0, min_open=True), help="Also save every so many thousand photos.")
@click.option("--status-seconds", type=Number(0), default=10.0, help="Seconds between status lines.")
@click.option(
    "--on-nan",
    type=click.Choice(["stop", "rollback"]),
    default="stop",
    help="When a loss is not finite: stop, or return to the last checkpoint and continue at half the learning rates, "
    "up to three times.",
)
@click.option(
    "--metrics",
    type=NameList(MAY_CHOOSE),
    default="",
    show_default="none",
    help=f"Metrics to compute during training, separated by commas; the first one chooses the best generator, "
    f"by held-out photos where there are any: {', '.join(MAY_CHOOSE)}.",
)
@click.option("--metrics-kimg", type=Number(0, min_open=True), default=50.0, help="Thousands of photos between scores.")
@feature_options
@click.option("--seed", type=SEED, default=0, help="Seed of weights, order of photos and noise.")
@click.option(
    "--strategy",
    type=click.Choice(["auto", "one", "mirrored", "multi-worker"]),
    default="auto",
    help="tf.distribute strategy; auto uses the hosts of TF_CONFIG or SLURM, or all GPUs, whichever is there.",
)
@click.option(
    "--devices",
    "logical_devices",
    type=click.IntRange(2, 64),
    help="Divide the CPU or a GPU into N logical devices, to try a strategy.",
)
@click.option(
    "--micro-batch",
    type=click.IntRange(min=1),
    help="Photos that a device computes at once; gradients are accumulated over the batch. For small GPUs.",
)
@click.option("--jit", is_flag=True, help="Compile the networks with XLA: often faster on a GPU, slower on a CPU.")
@click.option(
    "--deterministic",
    is_flag=True,
    help="Use deterministic operations only: the same bits on every run, also on a GPU; slower.",
)
@click.option("--dry-run", is_flag=True, help="Build everything, time a few steps, print a forecast, write nothing.")
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="classic",
    help="Method; the options below override its settings.",
)
@method_options
def main(
    find_shards: FindShards,
    train_on: str,
    limit: int | None,
    out: Path | None,
    init: Path | None,
    features: str,
    inception_file: Path | None,
    features_dir: Path | None,
    strategy: str,
    logical_devices: int | None,
    deterministic: bool,
    dry_run: bool,
    preset: str,
    metrics: str,
    **options: Any,
) -> None:
    """Train a generator of faces on shards that python -m preprocess.run made.

    If training is unstable, try --clip-norm 1, or half of --lr-g and --lr-d.
    """
    # 1. What the command line and the shards ask for, checked before TensorFlow is imported.
    photos = find_shards(features_dir)
    train_shards, held_out = resolve.split_shards(photos, train_on, limit)
    given = {field.name: options.pop(field.name) for field in fields(Preset)}
    overrides: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    method = replace(PRESETS[preset], **overrides)
    metric_names = [name for name in metrics.split(",") if name]
    resolve.check_schedules(method)
    resolve.check_augment_target(method)
    condition = resolve.conditions_of(train_shards, options["condition"])
    resolve.check_folder(out)
    resolve.check_photos_fill_a_batch(method.batch_size, train_shards.count)

    # 2. The devices.
    with startup_messages_hidden():
        from training.loop import strategy as strategies
        from training.loop import trainer
        from training.loop.checkpoints import load_networks
        from training.loop.failures import errors_reported, lost_hosts_reported
        from training.loop.forecast import forecast
        from training.loop.machine import onednn_advice, this_machine
        from training.metrics.evaluator import Evaluator, needs_space, open_space

        devices = strategies.choose(strategy, logical_devices, deterministic)
        machine = this_machine()
    resolve.check_image_shape(train_shards.image_shape)
    if devices.hosts > 1 and not out:
        raise UsageError("With several hosts --out must name one folder that all of them see.")

    with ExitStack() as stack:
        # 3. The run's folder and its settings: those of a run that is continued, or new ones.
        stack.enter_context(devices.speaking())
        stack.enter_context(lost_hosts_reported(devices))
        if devices.host == 0 and not dry_run:
            folder = stack.enter_context(locked_run_folder(out, RUNS, preset))
        else:
            folder = out or next_folder(RUNS, preset)
        saved = configs.load(folder)
        continued = saved.config if saved and resolve.has_checkpoint(folder) else None
        precision, remark = resolve.agree_on_precision(devices, method, saved, is_given="precision" in overrides)
        if saved and not continued and not init and saved.config.init:  # it was killed before it saved anything
            init = Path(saved.config.init)
        init_folder, init_generator = resolve.init_of(init, continued)
        config = Config(
            preset=preset,
            method=replace(method, precision=precision),
            seed=options["seed"],
            train_on=train_on,
            photos=train_shards.count,
            data=train_shards.fingerprint,
            image_shape=train_shards.image_shape,
            cache=resolve.agree_on_cache(devices, options["cache"], train_shards, saved),
            micro_batch=options["micro_batch"],
            jit=options["jit"],
            condition=condition,
            init=init_folder,
            init_generator=init_generator,
        )
        begins_with = None
        if continued:
            resolve.check_unchanged(folder, continued, config)
        elif init:
            resolve.check_init(init, config)
            begins_with, read = load_networks(init)
            config = replace(config, init_generator=read)  # a run that trains on may have replaced it
        images_per_device = method.batch_size // devices.replicas
        resolve.check_micro_batch(images_per_device, config.micro_batch)
        resolve.check_torn(config.micro_batch or images_per_device, method.torn)
        timetable = resolve.timetable_of(config, options, bool(metric_names))
        resolve.check_agreement(devices, config, timetable)
        strategies.check_batch_size(devices, method.batch_size)

        # 4. What is printed before the run.
        print(describe_run(folder, config, timetable))
        print(describe_photos(train_shards, held_out, config))
        print(f"Computed on {machine}.")
        print(strategies.describe(devices, method.batch_size))
        if begins_with:
            print(describe_init(config, begins_with))
        advice = "" if machine.gpus else onednn_advice()
        for line in (advice, remark, configs.machine_changes(saved.machine, asdict(machine)) if saved else ""):
            if line:
                print(line)
        sys.stdout.flush()
        if dry_run:
            print(forecast(config, train_shards, devices, timetable.total_steps, begins_with))
            return

        # 5. The run.
        evaluator = None
        if devices.host == 0 and metric_names:
            with errors_reported(devices, config):
                is_needed = needs_space(metric_names)
                space = open_space(features, train_shards, inception_file) if is_needed else None
                evaluator = Evaluator(train_shards, held_out, space, metric_names, conditions=config.conditions)
        stopped_by = trainer.train(
            config, train_shards, devices, timetable, folder, asdict(machine), evaluator, begins_with
        )
        if stopped_by:
            print(f"Stopped and saved. The same command with --out {folder} continues.")
            sys.exit(128 + stopped_by)
        print(describe_results(folder, metric_names, held_out.count > 0))


def describe_run(folder: Path, config: Config, timetable: Timetable) -> str:
    """Return the run's folder, its length and its settings."""
    epochs = timetable.total_steps / config.steps_per_epoch
    return f"Run {folder}: {timetable.total_steps:,} steps, {epochs:.4g} epochs\n{configs.table(configs.rows(config))}"


def describe_photos(train_shards: ShardSet, held_out: ShardSet, config: Config) -> str:
    """Return how many photos are trained on and held out, and whether they are kept in memory."""
    counts = {split: held_out.only({split}).count for split in ("train", "valid", "test")}
    evaluation = ", ".join(f"{count:,} {split}" for split, count in counts.items() if count) or "none"
    memory = f"kept in memory ({train_shards.count * train_shards.image_bytes / 1e6:,.0f} MB)"
    return (
        f"Training on {train_shards.count:,} photos ({config.train_on}); kept for evaluation: {evaluation}.\n"
        f"Decoded photos are {memory if config.cache else 'not kept: they are streamed from the shards'}."
    )


def describe_init(config: Config, networks: Collection[str]) -> str:
    """Return which networks of another run this one begins with."""
    if "discriminator" in networks:
        return f"Begins with both networks of {config.init}."
    return f"Begins with the generator of {config.init}; it has no discriminator.keras: the discriminator begins anew."


def describe_results(folder: Path, metric_names: Sequence[str], has_held_out: bool) -> str:
    """Return what a finished run has left, and the command that draws more faces."""
    lines = [f"Done, in {folder}: final.png has faces, losses.png the losses, generator.keras is the generator."]
    if metric_names:
        photos = "held-out" if has_held_out else "training"
        lines.append(f"generator-best.keras is the best by {metric_names[0]} against {photos} photos, in metrics.csv.")
    run = shlex.quote(str(folder))
    lines.append(f"More faces: python -m explore.sample --run {run} --count 64 --seed 1 --out faces.png")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
