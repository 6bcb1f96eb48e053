"""Types of the command line, and an option that several commands have."""

import re

import click

from preprocess import crop as crops
from preprocess.plan import Part
from system.command import Place
from system.limits import usable_cores

AUTO = "auto"

workers_option = click.option(
    "--workers",
    default=usable_cores,
    show_default="the usable cores",
    type=click.IntRange(1, 1024),
    help="Worker processes. The shards are the same for any number.",
)


class CropType(click.ParamType):
    """A named crop, or a box in four numbers."""

    name = "NAME|L,T,R,B"

    def convert(self, value, param, context):
        """Validate it."""
        try:
            crops.parse(value)
        except ValueError as error:
            self.fail(str(error), param, context)
        return value


class ListType(Place):
    """A file or its URL, or one of some words, such as "auto": the list that lies near the photos."""

    def __init__(self, *words: str):
        super().__init__(exists=True, dir_okay=False)
        self._words = words

    def get_metavar(self, *_, **__):
        """Return what --help shows."""
        return "|".join(("FILE", *self._words))

    def convert(self, value, param, context):
        """Validate it."""
        if value in self._words:
            return value
        try:
            return super().convert(value, param, context)
        except click.BadParameter as error:
            error.message += f" What it takes: a file, or {' or '.join(self._words)}."
            raise


class SizeType(click.ParamType):
    """A side that the networks can build: 4x4 doubled once or more."""

    name = "8|16|32|64|..."

    def convert(self, value, param, context):
        """Validate it."""
        size = click.INT.convert(value, param, context)
        if not 8 <= size <= crops.MAX_SIZE or size & (size - 1):
            self.fail(f"{size} is not a power of two from 8 to {crops.MAX_SIZE}.", param, context)
        return size


class PartType(click.ParamType):
    """One of several parts of the work."""

    name = "N/PARTS"

    def convert(self, value, param, context):
        """Validate it."""
        match = re.fullmatch(r"([0-9]+)/([0-9]+)", value)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            self.fail(f"{value!r} is not a part, such as 3/16: they are counted from 1/16 to 16/16.", param, context)
        return Part(int(match[1]), int(match[2]))


class NameType(click.ParamType):
    """A name of a data set that tfds takes."""

    name = "NAME"

    def convert(self, value, param, context):
        """Validate it."""
        if not re.fullmatch(r"[a-z][a-z0-9_]*", value):
            self.fail(
                f"{value!r} is not a name that tfds takes: lowercase letters, digits and _, starting with a letter.",
                param,
                context,
            )
        return value
