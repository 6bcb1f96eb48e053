"""Presets and their overrides on the command line."""

from dataclasses import fields

import click
import pytest
from click.testing import CliRunner

from training.options import CosineScheduleType, GroupedCommand, NameList, Number, method_options
from training.presets import PRESETS, CosineSchedule, Preset


@click.command(cls=GroupedCommand)
@click.option("--shards", help="Not a part of a preset.")
@method_options
def command(shards, **parts):
    print(Preset(**{name: value for name, value in parts.items() if value is not None}))


def test_help_lists_them_by_group():
    text = CliRunner().invoke(command, ["--help"]).output
    places = [
        text.index(part) for part in ("--shards", "Networks", "--latent", "Loss", "--r1-gamma", "Augment", "--flip")
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("text", "schedule"),
    [("2e-4", CosineSchedule(2e-4)), ("2e-4:5e-5", CosineSchedule(2e-4, 5e-5)), ("0:0.5", CosineSchedule(0.0, 0.5))],
)
def test_a_schedule_is_read_and_said_again(text, schedule):
    assert CosineScheduleType(Number(0)).convert(text, None, None) == schedule
    assert CosineSchedule.parse(str(schedule)) == schedule


@pytest.mark.parametrize("text", ["fast", "1:2:3", "", "-1", "0.1:-0.1", "nan", "0:inf"])
def test_what_is_no_schedule_is_refused(text):
    with pytest.raises(click.BadParameter, match=r"colon|not in the range|finite"):
        CosineScheduleType(Number(0)).convert(text, None, None)


def test_a_schedule_beyond_its_limit_is_refused():
    with pytest.raises(click.BadParameter, match="0<=x<=1"):
        CosineScheduleType(Number(0, 1)).convert("0.9:1.1", None, None)
    assert CosineScheduleType(Number(0, 1)).convert("0.9:1", None, None).end == 1
    with pytest.raises(click.BadParameter, match="0<=x<1"):
        CosineScheduleType(Number(0, 1, max_open=True)).convert("0.9:1", None, None)


def test_a_name_that_is_none_is_refused():
    assert NameList(("a", "b")).convert("b,a", None, None) == "b,a"
    assert NameList(("a", "b")).convert("", None, None) == ""
    with pytest.raises(click.BadParameter, match="' ,' names nothing"):
        NameList().convert(" ,", None, None)
    with pytest.raises(click.BadParameter, match="'c' is none of a, b"):
        NameList(("a", "b")).convert("a,c", None, None)
    with pytest.raises(click.BadParameter, match="'a' is named twice"):
        NameList(("a", "b")).convert("a,b,a", None, None)


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_preset_holds_can_be_said_on_the_command_line(name):
    arguments = []
    for field in fields(Preset):
        value = getattr(PRESETS[name], field.name)
        option = "--" + field.name.replace("_", "-")
        if isinstance(value, bool):
            arguments.append(option if value else option.replace("--", "--no-"))
        elif value is not None:
            arguments += [option, str(value)]
    outcome = CliRunner().invoke(command, arguments)
    assert outcome.output == f"{PRESETS[name]}\n"
