"""Attributes of faces on a command line: conditions that they meet, and strengths along directions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
from click import UsageError

from training.config import Config
from training.data import labels
from training.data.labels import LabelFrequencies
from training.options import NameList, Number


class NamedValues(click.ParamType):
    """NAME=VALUE, separated by commas, each name once: a dict."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, object]:
        """Validate it."""
        if isinstance(value, dict):  # the default
            return value
        values: dict[str, object] = {}
        for part in NameList().convert(value, param, ctx).split(","):
            name, _, text = part.rpartition("=")
            if name in values:
                self.fail(f"{name!r} is named twice.", param, ctx)
            values[name] = self.value(text, param, ctx)
        return values

    def value(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Validate one value."""
        raise NotImplementedError


class Answers(NamedValues):
    """Whether there is an attribute: 0 or 1."""

    name = "NAME=0|1"

    def value(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        """Validate one."""
        if text not in ("0", "1"):
            self.fail(f"{text!r} is neither 0 nor 1: say each attribute with one of them, as Smiling=1.", param, ctx)
        return text == "1"


class Strengths(NamedValues):
    """How far to go along a direction."""

    name = "NAME=NUMBER"

    def value(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Validate one."""
        return Number(-100, 100).convert(text, param, ctx)


set_option = click.option(
    "--set",
    "answers",
    type=Answers(),
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
