"""Attributes of faces on a command line: values by their names, and conditions that faces meet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
from click import UsageError

from training.config import Config
from training.data import labels
from training.data.labels import LabelFrequencies
from training.options import NameList


class NamedValues(click.ParamType):
    """NAME=VALUE, separated by commas, each name once, and each value of one type: a dict."""

    def __init__(self, name: str, value: click.ParamType):
        self.name, self._value = name, value

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, object]:
        """Validate it."""
        if isinstance(value, dict):  # the default
            return value
        values: dict[str, object] = {}
        for part in NameList().convert(value, param, ctx).split(","):
            name, _, text = map(str.strip, part.rpartition("="))
            if not name:
                self.fail(f"{part!r} is not {self.name}: several are separated by commas.", param, ctx)
            if name in values:
                self.fail(f"{name!r} is named twice.", param, ctx)
            values[name] = self._value.convert(text, param, ctx)
        return values


class Answer(click.ParamType):
    """Whether there is an attribute: 0 or 1."""

    name = "0|1"

    def convert(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        """Validate it."""
        if text not in ("0", "1"):
            self.fail(f"{text!r} is neither 0 nor 1: say each attribute with one of them, as Smiling=1.", param, ctx)
        return text == "1"


set_option = click.option(
    "--set",
    "answers",
    type=NamedValues("NAME=0|1", Answer()),
    default={},
    show_default="none",
    help="Attributes that all faces have (1) or do not have (0): Smiling=1,Male=0. For runs with --condition; what is "
    "not set is drawn as often as the training photos have it.",
)


def labels_to_ask(folder: Path, config: Config, asked: Iterable[str]) -> LabelFrequencies | None:
    """Return the labels of the photos of the run in `folder`; None where it has no conditions.

    Raises UsageError where attributes are asked for that it was not conditioned on.
    """
    asked = list(asked)
    if asked and not config.conditions:
        raise UsageError(
            f"{folder} was trained without conditions: it cannot draw faces by {asked[0]}. Train a run with "
            f"--condition {','.join(asked)}."
        )
    if unknown := [name for name in asked if name not in config.conditions]:
        raise UsageError(f"{folder} is conditioned on {config.condition}, not on {unknown[0]}.")
    return labels.load(folder) if config.conditions else None
