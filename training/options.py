"""Options that several commands have, and those for the parts of a preset, by group."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import click

from training.presets import Augmentation, Distribution, Loss, Network, Precision
from training.schedule import Ramp


class Number(click.FloatRange):
    """A finite number within a range: click's own lets nan and inf through."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Check it."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return number


class RampType(click.ParamType):
    """START or START:END, both in the range of a `Number`."""

    name = "RAMP"

    def __init__(self, most: float | None = None, below: float | None = None):
        self._number = Number(0, most if below is None else below, max_open=below is not None)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Ramp:
        """Read it."""
        try:
            ramp = Ramp.parse(str(value))
        except ValueError:
            self.fail(f"{value!r} is neither a number nor two with a colon between: 2e-4:5e-5.", param, ctx)
        for part in (ramp.start, ramp.end):
            if part is not None:
                self._number.convert(part, param, ctx)
        return ramp


class Names(click.ParamType):
    """Some of several names, separated by commas; nothing for none."""

    name = "NAMES"

    def __init__(self, choices: tuple[str, ...]):
        self._choices = choices

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check it."""
        names = [name.strip() for name in str(value).split(",") if name.strip()]
        for name in names:
            if name not in self._choices:
                self.fail(f"{name!r} is none of {', '.join(self._choices)}.", param, ctx)
            if names.count(name) > 1:
                self.fail(f"{name!r} is named twice.", param, ctx)
        return ",".join(names)


class GroupedOption(click.Option):
    """An option that stands under a heading of its own in --help."""

    def __init__(self, *args, group: str, **kwargs):
        super().__init__(*args, **kwargs)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose --help lists options under their groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write them, those without a group first."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record:
                groups.setdefault(getattr(parameter, "group", "Options"), []).append(record)
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records)


def shards_options(command: Callable) -> Callable:
    """Add --shards. A shell makes several words of --shards data/*.tfrecord: all but the first are `more_shards`."""
    command = click.argument("more_shards", nargs=-1, metavar="[SHARDS]...")(command)
    return click.option(
        "--shards",
        multiple=True,
        metavar="SHARDS",
        help="Shards, a folder of them, or a pattern: --shards data/*.tfrecord",
    )(command)


def feature_options(command: Callable) -> Callable:
    """Add the options that name a feature space."""
    command = click.option(
        "--inception",
        "inception_file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The FID's graph, .pb or .tgz.  [default: fetched once]",
    )(command)
    return click.option(
        "--features",
        type=click.Choice(["attributes", "inception"]),
        default="attributes",
        help="Where metrics but swd are taken: in the network of training.features, or in the FID's.",
    )(command)


_POSITIVE = Number(0, min_open=True)
_COUNT = click.IntRange(min=1)

# Names are the fields of `training.presets.Preset`.
_OPTIONS = {
    "Networks (default: the preset's)": [
        ("--network", click.Choice(get_args(Network)), "Both networks."),
        ("--width", _POSITIVE, "Multiple of the networks' channels."),
        ("--latent", _COUNT, "Length of z."),
        ("--latent-distribution", click.Choice(get_args(Distribution)), "U(-1, 1) or N(0, 1)."),
        ("--precision", click.Choice(get_args(Precision)), "What layers compute in; weights and losses stay float32."),
    ],
    "Loss (default: the preset's)": [
        ("--loss", click.Choice(get_args(Loss)), "What both networks minimise."),
        ("--critic-steps", _COUNT, "Updates of the discriminator for each of the generator."),
        ("--r1-gamma", RampType(), "Weight of the gradient penalty on photos."),
        ("--r2-gamma", RampType(), "Weight of the gradient penalty on generated images."),
        ("--gradient-penalty", Number(0), "Weight of WGAN-GP's penalty."),
        ("--penalty-every", _COUNT, "Updates of the discriminator between penalties."),
    ],
    "Optimizers (default: the preset's)": [
        ("--batch-size", _COUNT, "Photos a step, over all devices together."),
        ("--lr-g", RampType(), "Adam's learning rate for the generator."),
        ("--lr-d", RampType(), "Adam's learning rate for the discriminator."),
        ("--beta-1", Number(0, 1, max_open=True), "Adam's decay of the first moment."),
        ("--beta-2", RampType(below=1), "Adam's decay of the second moment."),
        ("--clip-norm", _POSITIVE, "Scale longer gradients down to this norm."),
        ("--ramp-kimg", Number(0), "Thousands of photos over which a RAMP like 2e-4:5e-5 goes its way."),
        ("--ema-kimg", RampType(), "Half-life of the generator's moving average, in thousands of photos; 0: none."),
    ],
    "Augmentation (default: the preset's)": [
        ("--flip/--no-flip", None, "Mirror every second photo."),
        (
            "--augment",
            Names(get_args(Augmentation)),
            f"Of all that the discriminator sees: some of {', '.join(get_args(Augmentation))}.",
        ),
        ("--augment-probability", RampType(1), "How likely each of them is for each image."),
    ],
}


def method_options(command: Callable) -> Callable:
    """Add an option for each part of a preset."""
    for group, options in reversed(_OPTIONS.items()):
        for name, kind, words in reversed(options):
            command = click.option(
                name, type=kind, default=None, show_default=False, help=words, cls=GroupedOption, group=group
            )(command)
    return command
