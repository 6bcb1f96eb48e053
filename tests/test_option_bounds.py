"""Sizes and numbers out of their bounds are refused."""

import click
import pytest

from explore.dataset import main as dataset
from explore.directions.__main__ import main as directions
from explore.sample import main as sample
from explore.walk import main as walk
from preprocess.options import SizeType
from preprocess.run import main as preprocess
from tests.command import Command
from training.evaluate import main as evaluate
from training.features import main as features
from training.run import main as train
from training.sheets import main as sheets


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
        (train, "--kimg", ["0", "-1", "nan", "inf", "1e300"]),
        (train, "--save-kimg", ["nan"]),
        (train, "--clip-norm", ["nan"]),
        (train, "--lr-g", ["inf"]),
        (train, "--beta-2", ["1"]),
        (train, "--epochs", ["0", "1e400", str(10**21)]),
        (train, "--latent", [str(10**21)]),
        (train, "--critic-steps", [str(10**9)]),
        (train, "--seed", ["-1", str(2**31), "1.5"]),
        (train, "--sample-every", ["0"]),
        (train, "--devices", ["1", "100000"]),
        (train, "--micro-batch", ["0"]),
        (train, "--limit", ["0"]),
        (features, "--kimg", ["0"]),
        (sample, "--count", ["0", "1,5", "", str(10**9)]),
        (sample, "--best-of", ["0", str(10**6)]),
        (sample, "--truncation", ["0", "-0.5", "1.01", "nan"]),
        (evaluate, "--count", ["0", "5"]),
        (walk, "--seconds", ["0", "1e300"]),
        (directions, "--count", ["999", str(10**12)]),
        (sheets, "--count", ["0", str(10**9)]),
        (sheets, "--photos", ["0"]),
        (preprocess, "--workers", ["0", "100000"]),
        (preprocess, "--shard-images", ["0"]),
        (preprocess, "--limit", ["0"]),
        (preprocess, "--max-rejected", ["nan", "1.1"]),
        (preprocess, "--seed", ["-1", str(2**64)]),
    ],
)
def test_numbers_out_of_range_are_refused(command, option, values):
    [parameter] = [parameter for parameter in command.params if option in parameter.opts]
    for value in values:
        with pytest.raises(click.BadParameter):
            parameter.type_cast_value(click.Context(command), (value,) if parameter.multiple else value)


@pytest.mark.parametrize("command", [sample, dataset, evaluate])
def test_faces_are_not_chosen_without_the_weights_for_it(command, monkeypatch, tmp_path):
    monkeypatch.setattr("training.metrics.imagenet.find_spec", lambda name: None)
    without = ("--run", "no-run", "--out", tmp_path / "out", "--best-of")
    assert "missing: pip install -r requirements-evaluate.txt" in Command(command).is_refused(*without, 2)
    assert "no-run is not a run" in Command(command).is_refused(*without, 1)
