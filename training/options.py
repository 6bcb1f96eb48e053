"""Options that several commands have, and an option for each setting of a preset."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints
from unicodedata import normalize

import click

from system.command import LocalPath, Number, Place
from system.files import try_to_write
from system.objects import Url
from training.command import Command
from training.data.cache import ShardCache
from training.data.shards import ShardSet, find
from training.metrics.imagenet import package_folder
from training.presets import AUGMENTATION, LOSS, NETWORKS, OPTIMIZERS, AugmentationName, CosineSchedule, Preset


class CosineScheduleType(click.ParamType):
    """START or START:END, both numbers within a range."""

    name = "START[:END]"

    def __init__(self, number: Number):
        self._number = number

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> CosineSchedule:
        """Parse it."""
        try:
            schedule = CosineSchedule.parse(str(value))
        except ValueError:
            self.fail(f"{value!r} is neither a number nor two with a colon between: 2e-4:5e-5.", param, ctx)
        for number in (schedule.start, schedule.end):
            if number is not None:
                self._number.convert(number, param, ctx)
        return schedule


class NameList(click.ParamType):
    """Names separated by commas, each once, perhaps of some choices; an empty string for none: composed (NFC)."""

    name = "NAMES"

    def __init__(self, choices: Collection[str] | None = None):
        self._choices = choices

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Validate it."""
        names = [name.strip() for name in normalize("NFC", str(value)).split(",") if name.strip()]
        if value and not names:
            self.fail(f"{value!r} names nothing.", param, ctx)
        for name in names:
            if names.count(name) > 1:
                self.fail(f"{name!r} is named twice.", param, ctx)
            if self._choices and name not in self._choices:
                self.fail(f"{name!r} is none of {', '.join(self._choices)}.", param, ctx)
        return ",".join(names)


class GroupedOption(click.Option):
    """An option under a heading of its own in --help."""

    def __init__(self, *args, group: str, **kwargs):
        super().__init__(*args, **kwargs)
        self.group = group


class GroupedCommand(Command):
    """A command whose --help lists options under their groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record:
                groups.setdefault(getattr(parameter, "group", "Options"), []).append(record)
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records)


SEED = click.IntRange(0, 2**31 - 1)  # what TensorFlow and NumPy both take as a seed


FindShards = Callable[[Path | None], ShardSet]  # folder of features -> `shards.find` of what the command line names


def shards_options(command: Callable) -> Callable:
    """Add --shards, by default the folder data, and what concerns those at URLs; the command gets a FindShards.

    The shell makes several paths of data/*.tfrecord: all but the first come as arguments.
    """

    @click.option(
        "--shards",
        multiple=True,
        metavar="SHARDS",
        type=Place(),
        help="Shard files, a folder of shards, or a pattern: --shards data/*.tfrecord; also a URL (s3, gs, az, "
        "https, hf): --shards s3://BUCKET/data",
    )
    @click.option(
        "--shard-cache",
        type=LocalPath(path_type=Path, file_okay=False),
        default=lambda: Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "face-factory", "shards"),
        show_default="~/.cache/face-factory/shards",
        help="Folder on a local disk through which shards at URLs are read; several runs can share it.",
    )
    @click.option(
        "--shard-cache-gb",
        type=Number(0, min_open=True),
        default=20.0,
        help="Size of that folder in GB (1e9 bytes). Shards that were not used for longest make room for others.",
    )
    @click.argument("more_shards", nargs=-1, type=Place(), metavar="[SHARDS]...")
    @wraps(command)
    def with_shards(
        shards: tuple[Path | Url, ...],
        more_shards: tuple[Path | Url, ...],
        shard_cache: Path,
        shard_cache_gb: float,
        **options,
    ) -> object:
        def find_shards(features_dir: Path | None) -> ShardSet:
            cache = ShardCache(shard_cache, int(shard_cache_gb * 1e9))
            return find((*shards, *more_shards) or ("data",), features_dir, cache)

        return command(find_shards=find_shards, **options)

    return with_shards


run_option = click.option(
    "--run", "folder", type=LocalPath(path_type=Path), required=True, help="A run's folder, finished or running."
)


def _check_installed(_context: click.Context, _option: click.Parameter, best_of: int) -> int:
    """Refuse to choose without EfficientNet's weights, before the minutes of work that may come first."""
    if best_of > 1:
        package_folder()
    return best_of


best_of_option = click.option(
    "--best-of",
    type=click.IntRange(1, 1000),
    default=1,
    callback=_check_installed,
    show_default="1: as drawn",
    metavar="N",
    help="Draw N faces for each and keep the least odd one, as EfficientNet sees it: fewer broken faces, and less "
    "variety.",
)

truncation_option = click.option(
    "--truncation",
    type=Number(0, 1, min_open=True),
    default=1.0,
    show_default="1: as drawn",
    help="Multiply z by this, above 0 and at most 1: faces that are plainer, and more alike.",
)


def check_writable(out: Path, instead: str = "choose another --out") -> None:
    """Raise UsageError where a file cannot be written, before there is something to write."""
    if not out.parent.is_dir():
        raise click.UsageError(f"{out.parent} is not a folder: make it first, or choose another path.")
    if out.is_dir():
        raise click.UsageError(f"{out} is a folder: {instead}.")
    try:
        try_to_write(out)
    except OSError as error:
        raise click.UsageError(f"{out} cannot be written ({error.strerror}): {instead}.") from None


def check_picture(out: Path, option: str) -> None:
    """Raise UsageError where a PNG cannot be written under this name."""
    if out.suffix.lower() != ".png":
        raise click.UsageError(f"{out}: {option} writes a PNG: end its name with .png.")
    check_writable(out, f"choose another path for {option}")


features_dir_option = click.option(
    "--features-dir",
    type=LocalPath(path_type=Path, file_okay=False),
    help="Folder of the networks of training.features, of Inception and of photos' features.  "
    "[default: features/ in the folder of the shards]",
)

_inception_option = click.option(
    "--inception",
    "inception_file",
    type=LocalPath(path_type=Path, dir_okay=False),
    help="File of FID's Inception graph, .pb or .tgz.  [default: downloaded once]",
)

_features_option = click.option(
    "--features",
    type=click.Choice(["attributes", "judge", "inception"]),
    default="attributes",
    help="Feature space of all metrics except swd: the network of training.features, the one of training.features "
    "--judge, or FID's Inception.",
)


def feature_options(command: Callable) -> Callable:
    """Add the options that choose a feature space."""
    return _features_option(_inception_option(features_dir_option(command)))


def method_options(command: Callable) -> Callable:
    """Add an option for each field of a preset."""
    kinds = get_type_hints(Preset)
    for field in sorted(fields(Preset), key=lambda field: _GROUPS.index(field.metadata["group"]))[::-1]:
        name = "--" + field.name.replace("_", "-")
        command = click.option(
            f"{name}/--no-{name[2:]}" if kinds[field.name] is bool else name,
            type=_option_type(field.name, kinds[field.name], field.metadata["limits"]),
            default=None,
            show_default=False,
            help=field.metadata["description"],
            cls=GroupedOption,
            group=f"{field.metadata['group']} (default: the preset's)",
        )(command)
    return command


_GROUPS = [NETWORKS, LOSS, OPTIMIZERS, AUGMENTATION]


def _option_type(name: str, kind: object, limits: Mapping[str, float]) -> click.ParamType | None:
    number = Number(
        limits.get("above", limits.get("at_least")),
        limits.get("below", limits.get("at_most")),
        min_open="above" in limits,
        max_open="below" in limits,
    )
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    if name == "augment":
        return NameList(get_args(AugmentationName))
    if kind is bool:
        return None
    if kind is int:
        return click.IntRange(int(limits["at_least"]), int(limits.get("at_most", 2**31 - 1)))
    return CosineScheduleType(number) if kind is CosineSchedule else number
