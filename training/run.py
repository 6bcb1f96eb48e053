"""The command line of stage 2: python -m training.run."""

from __future__ import annotations

import json
import math
import sys
from contextlib import ExitStack
from dataclasses import asdict, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click import UsageError

from training import config as configs
from training.config import Config
from training.data.shards import ShardSet, find
from training.loop import lock
from training.loop.lock import claimed, next_folder
from training.metrics import METRICS
from training.options import GroupedCommand, Names, Number, feature_options, method_options, shards_options
from training.presets import PRESETS, Preset
from training.quiet import startup_chatter_hidden
from training.schedule import Ramp

if TYPE_CHECKING:
    from training.loop.strategy import Devices
    from training.loop.trainer import Schedule

RUNS = Path("runs")


@click.command(
    cls=GroupedCommand,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 110},
)
@shards_options
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
@click.option("--kimg", type=Number(0, min_open=True), help="Length in thousands of photos, instead of --epochs.")
@click.option("--sample-every", type=click.IntRange(min=1), default=1, help="Epochs between grids of samples.")
@click.option("--save-minutes", type=Number(0), default=10.0, help="Minutes between checkpoints in an epoch.")
@click.option("--save-kimg", type=Number(0, min_open=True), help="Thousands of photos between checkpoints as well.")
@click.option("--status-seconds", type=Number(0), default=10.0, help="Seconds between lines of status.")
@click.option(
    "--on-nan",
    type=click.Choice(["stop", "rollback"]),
    default="stop",
    help="What is done about a loss that is not finite: stop, or go back to the last checkpoint and on at half the "
    "learning rates, three times at most.",
)
@click.option(
    "--metrics",
    type=Names(tuple(METRICS)),
    default="",
    show_default="none",
    help=f"Judge the generator while it learns, and keep the best by the first named. Separated by commas: "
    f"{', '.join(METRICS)}.",
)
@click.option("--metrics-kimg", type=Number(0, min_open=True), default=50.0, help="Thousands of photos between scores.")
@feature_options
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
    "--micro-batch",
    type=click.IntRange(min=1),
    help="Photos that a device computes at once, gradients being summed up to the whole batch: for small GPUs.",
)
@click.option("--jit", is_flag=True, help="Compile the networks with XLA: often faster on a GPU, slower on a CPU.")
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
@method_options
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
    save_kimg: float | None,
    status_seconds: float,
    on_nan: str,
    metrics: str,
    metrics_kimg: float,
    features: str,
    inception_file: Path | None,
    seed: int,
    strategy: str,
    split: int | None,
    micro_batch: int | None,
    jit: bool,
    deterministic: bool,
    dry_run: bool,
    preset: str,
    **overrides: object,
) -> None:
    """Train a generator of faces on shards that python -m preprocess.run made.

    Where training is unstable, try --clip-norm 1, or half of --lr-g and --lr-d.
    """
    # 1. What is asked for, as far as it can be known without TensorFlow.
    learnt, held_out = divide(find([*shards, *more_shards] or ["data"]), train_on, limit)
    asked = {name: value for name, value in overrides.items() if value is not None}
    method = replace(PRESETS[preset], **asked)
    refuse_aimless(method)
    names = [name for name in metrics.split(",") if name]
    if out:
        refuse_foreign(out)
    if learnt.count < method.batch_size:
        raise UsageError(f"{learnt.count} photos do not fill one batch. Use --batch-size {learnt.count} or less.")

    # 2. The devices, and what they can compute.
    with startup_chatter_hidden():
        from training.data import pipeline
        from training.loop import forecast
        from training.loop import strategy as strategies
        from training.loop import trainer as loop
        from training.loop.failures import failures_in_words, failures_of_files_in_words, lost_hosts_in_words
        from training.loop.machine import choose_precision, this_machine
        from training.loop.scorer import open_scorer
        from training.models.networks.layers import doublings

        devices = strategies.choose(strategy, split, deterministic)
        machine = this_machine()
    try:
        doublings(learnt.image_shape)
    except ValueError as error:
        raise UsageError(f"{error}. Make shards of such images.") from None
    if devices.hosts > 1 and not out:
        raise UsageError("With several hosts --out must name one folder that all of them see.")

    with ExitStack() as stack:
        # 3. The folder, and the settings that the run in it has, or gets.
        stack.enter_context(devices.speaking())
        stack.enter_context(lost_hosts_in_words(devices))
        stack.enter_context(failures_of_files_in_words())
        if devices.host == 0 and not dry_run:
            folder = stack.enter_context(claimed(out, RUNS, preset))
        else:
            folder = out or next_folder(RUNS, preset)
        saved = configs.load(folder)
        # A run goes on as it began: what is free now must not change the order of its photos.
        fits = saved["cache"] if saved else pipeline.fits_in_memory(learnt)
        cached = devices.all_hosts(fits if cache == "auto" else cache == "ram")
        wanted = method.precision if "precision" in asked or not saved else saved["precision"]
        precision, remark = choose_precision(method.network, method.width, wanted, "precision" in asked)
        if devices.any_host(precision == "float32"):
            precision = "float32"
        method = replace(method, precision=precision)
        config = Config(
            preset, method, seed, train_on, learnt.count, learnt.fingerprint, learnt.image_shape, cached, micro_batch,
            jit,
        )  # fmt: skip
        if saved and (folder / "checkpoints").exists():  # one that has saved nothing may begin otherwise
            refuse_changes(folder, configs.differences(saved, config))
        refuse_uneven(method.batch_size // devices.replicas, micro_batch)
        schedule = loop.Schedule(
            total_steps=steps_of(config, kimg) or epochs * config.steps_per_epoch,
            sample_every=sample_every,
            save_minutes=save_minutes,
            status_seconds=status_seconds,
            save_steps=steps_of(config, save_kimg),
            score_steps=steps_of(config, metrics_kimg) if names else None,
            rollbacks=loop.MOST_ROLLBACKS if on_nan == "rollback" else 0,
        )
        if not agrees(devices, config, schedule):
            raise UsageError(
                "The hosts see different shards or were given different options. Give all of them the same."
            )

        # 4. What the run is, in words.
        print(
            f"Run {folder}: {schedule.total_steps:,} steps, {schedule.total_steps / config.steps_per_epoch:.4g} epochs"
        )
        print(configs.table(configs.rows(config)))
        print(describe_photos(learnt, held_out, config))
        print(f"Computed on {machine}.")
        print(strategies.describe(devices, method.batch_size))
        for line in (remark, saved and configs.of_another_machine(saved, machine)):
            if line:
                print(line)
        sys.stdout.flush()
        if dry_run:
            print(forecast.measure(config, learnt, devices).text(config, schedule.total_steps))
            return

        # 5. The run.
        scorer = None
        if devices.host == 0:
            if names:
                with failures_in_words(devices, config):
                    scorer = open_scorer(names, learnt, held_out, features, inception_file)
            configs.save(folder, config, machine)
        stopped_by = loop.train(config, learnt, devices, schedule, folder, scorer)
        if stopped_by:
            print(f"Stopped and saved. The same command with --out {folder} continues.")
            sys.exit(128 + stopped_by)
        print(f"Done, in {folder}: final.png has faces, losses.png the losses, generator.keras is the generator.")
        if names:
            print(f"generator-best.keras is the best by {names[0]}, of those in metrics.csv.")
        print(f"More faces: python -m training.sample --run {folder} --count 64 --seed 1 --out faces.png")


def agrees(devices: Devices, config: Config, schedule: Schedule) -> bool:
    """Return whether every host is about to do the same."""
    plan = json.dumps([configs.rows(config), asdict(schedule)])
    return devices.same_on_all(int(sha256(plan.encode()).hexdigest()[:12], 16))


def divide(shards: ShardSet, train_on: str, limit: int | None) -> tuple[ShardSet, ShardSet]:
    """Return what is learnt from, and what is held out for evaluation."""
    learnt, held_out = shards.divide(train_on)
    if not learnt.count:
        there = ", ".join(sorted(shards.splits))
        raise UsageError(f"No {train_on} shards among those given, only {there}. Use --train-on.")
    return (learnt.first(limit) if limit else learnt), held_out


def refuse_foreign(folder: Path) -> None:
    """Raise UsageError where the folder holds something that is not a run."""
    is_empty = not folder.exists() or all(path.name == lock.NAME for path in folder.iterdir())
    if not is_empty and configs.load(folder) is None:
        raise UsageError(
            f"{folder} holds something that is not a run (it has no {configs.FILE_NAME}). Choose another --out."
        )


def refuse_aimless(method: Preset) -> None:
    """Raise UsageError where a part goes from one value to another, and nothing says over how many photos."""
    parts = {"--" + field.name.replace("_", "-"): getattr(method, field.name) for field in fields(method)}
    going = [f"{name} {part}" for name, part in parts.items() if isinstance(part, Ramp) and part.goes]
    if going and not method.ramp_kimg:
        raise UsageError(f"{', '.join(going)}: over how many thousand photos? Say --ramp-kimg.")


def refuse_uneven(images_a_device: int, micro_batch: int | None) -> None:
    """Raise UsageError where a device's share of a batch is no whole number of micro-batches."""
    if micro_batch and images_a_device % micro_batch:
        divisor = max(part for part in range(1, min(micro_batch, images_a_device) + 1) if images_a_device % part == 0)
        raise UsageError(
            f"--micro-batch {micro_batch} does not divide the {images_a_device} photos of a device. "
            f"Use --micro-batch {divisor}."
        )


def refuse_changes(folder: Path, changes: list[str]) -> None:
    """Raise UsageError where a run would be continued with other settings."""
    if changes:
        listed = "\n  ".join(changes)
        raise UsageError(
            f"{folder} holds a run with other settings; choose another --out, or ask for the same:\n  {listed}"
        )


def steps_of(config: Config, kimg: float | None) -> int | None:
    """Return in how many steps so many thousands of photos are seen."""
    return math.ceil(kimg * 1000 / config.method.batch_size) if kimg else None


def describe_photos(learnt: ShardSet, held_out: ShardSet, config: Config) -> str:
    """Say what is learnt from, what is held out for evaluation, and where the decoded photos are."""
    counts = {split: held_out.only({split}).count for split in ("train", "valid", "test")}
    evaluation = ", ".join(f"{count:,} {split}" for split, count in counts.items() if count) or "none"
    memory = f"kept in memory ({learnt.count * learnt.image_bytes / 1e6:,.0f} MB)"
    return (
        f"Training on {learnt.count:,} photos ({config.train_on}); kept for evaluation: {evaluation}.\n"
        f"Decoded photos are {memory if config.cache else 'not kept: they are streamed from the shards'}."
    )


if __name__ == "__main__":
    main()
