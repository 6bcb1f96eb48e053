"""The defaults and the bounds that the documentation gives: --help shows them, and they hold."""

import re

import click
import pytest

from explore.sample import main as sample
from preprocess.options import SizeType
from preprocess.run import main as preprocess
from training.evaluate import main as evaluate
from training.features import main as features
from training.options import SEED
from training.run import main as train

DEFAULTS = {
    preprocess: {"crop": "progan", "shard_images": 4096, "max_rejected": 0.01, "seed": 0, "size": 64, "color": "grey",
                 "ids": "name"},
    train: {"epochs": 20, "sample_every": 1, "save_minutes": 10.0, "status_seconds": 10.0, "on_nan": "stop",
            "metrics_kimg": 50.0, "seed": 0, "preset": "classic", "train_on": "train", "cache": "auto",
            "strategy": "auto", "condition": "", "metrics": "", "jit": False, "deterministic": False},
    sample: {"seed": 0, "out": "faces.png"},
    features: {"kimg": 100.0, "seed": 0, "judge": False},
    evaluate: {"count": 5000, "seed": 0, "features": "attributes"},
}  # fmt: skip


@pytest.mark.parametrize("command", DEFAULTS, ids=lambda command: command.callback.__module__)
def test_defaults_are_those_of_the_documentation(command):
    options = {option.opts[0].strip("-").replace("-", "_"): option for option in command.params}
    for name, value in DEFAULTS[command].items():
        found = options[name].get_default(click.Context(command))
        assert str(found) == str(value) or found == value, name


@pytest.mark.parametrize("command", [preprocess, train, sample, features, evaluate])
def test_help_shows_them(command):
    shown = command.get_help(click.Context(command, terminal_width=200, **command.context_settings))
    assert re.search(r"default(: |\])", shown)


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_a_seed_is_what_tensorflow_and_numpy_both_take(seed):
    assert SEED.convert(str(seed), None, None) == seed


@pytest.mark.parametrize("seed", ["-1", str(2**31), "1.5", "x"])
def test_another_seed_is_refused(seed):
    with pytest.raises(click.BadParameter):
        SEED.convert(seed, None, None)


@pytest.mark.parametrize("size", [8, 64, 2048])
def test_a_size_is_a_power_of_two_up_to_2048(size):
    assert SizeType().convert(str(size), None, None) == size


@pytest.mark.parametrize("size", ["4", "9", "65", "4096", "0", "-64"])
def test_another_size_is_refused(size):
    with pytest.raises(click.BadParameter, match="power of two from 8 to 2048"):
        SizeType().convert(size, None, None)


@pytest.mark.parametrize(
    ("command", "option", "values"),
    [
        (train, "--status-seconds", ["-1", "nan", "inf"]),
        (train, "--save-minutes", ["-1"]),
        (train, "--kimg", ["0", "-1", "nan"]),
        (train, "--epochs", ["0"]),
        (train, "--sample-every", ["0"]),
        (train, "--devices", ["1"]),
        (train, "--micro-batch", ["0"]),
        (train, "--limit", ["0"]),
        (features, "--kimg", ["0"]),
        (sample, "--count", ["0"]),
        (evaluate, "--count", ["0"]),
        (preprocess, "--workers", ["0"]),
        (preprocess, "--shard-images", ["0"]),
        (preprocess, "--limit", ["0"]),
        (preprocess, "--seed", ["-1", str(2**64)]),
    ],
)
def test_numbers_out_of_range_are_refused(command, option, values):
    [parameter] = [parameter for parameter in command.params if option in parameter.opts]
    for value in values:
        with pytest.raises(click.BadParameter):
            parameter.type_cast_value(click.Context(command), (value,) if parameter.multiple else value)
