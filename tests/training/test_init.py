"""--init: a run that begins with the networks of another."""

import json
import shutil

import numpy as np
import pytest

from system.files import remove
from tests.documents import MODEL
from tests.training.runs import SMALL, run
from tests.training.small_gan import flat
from training import config as configs
from training import draw, resolve


def test_a_run_begins_with_the_networks_of_another_and_goes_on_without_it(finished, tmp_path):
    place, _ = finished
    origin, out = shutil.copytree(place / "run", tmp_path / "origin"), tmp_path / "run"
    still = ("--shards", place / "data", *SMALL, "--lr-g", 0, "--lr-d", 0, "--out", out)
    output = run.succeeds(*still, "--epochs", 1, "--init", origin)
    assert "6 steps, 1 epochs" in output
    assert f"Begins with both networks of {origin}." in output
    settings = json.loads((out / "config.json").read_text())
    assert (settings["init"], settings["init_generator"]) == (str(origin), draw.digest(origin / "generator.keras"))
    for name in ("generator", "discriminator"):
        here, there = (draw.load(folder / f"{name}.keras").trainable_variables for folder in (out, origin))
        np.testing.assert_array_equal(flat(here), flat(there), name)

    message = run.is_refused(*still, "--epochs", 2, "--init", MODEL)
    assert f"init: {origin} in the run, {MODEL} asked for" in message
    shutil.rmtree(origin)
    assert "6 of 12 steps are done" in run.succeeds(*still, "--epochs", 2, "--init", origin)
    settings = json.loads((out / "config.json").read_text())
    continued = configs.load(out).config
    same = str(origin), settings["init_generator"]
    assert resolve.init_of(None, continued) == same, "it may be left out"
    assert resolve.init_of(place / "run", continued) == same, "it may be named by another path"


def test_a_run_of_other_networks_is_refused_by_what_differs(finished, tmp_path):
    options = ("--shards", finished[0] / "data", "--out", tmp_path / "run", "--batch-size", 12)
    message = run.is_refused(*options, "--width", 0.5, "--san", "--init", finished[0] / "run")
    assert message.splitlines()[-2:] == [
        "  width: 1.0 in the run, 0.5 asked for",
        "  san: False in the run, True asked for",
    ]
    assert f"--init {finished[0] / 'run'}: its networks are others" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "message"), [("config.json", "is not the config of a run"), ("generator.keras", "cannot be read")]
)
def test_a_run_that_cannot_be_read_is_refused(finished, tmp_path, name, message):
    shutil.copytree(finished[0] / "run", tmp_path / "origin")
    (tmp_path / "origin" / name).write_text("[]")
    options = ("--shards", finished[0] / "data", *SMALL, "--out", tmp_path / "run")
    assert message in run.is_refused(*options, "--init", tmp_path / "origin")
    assert not (tmp_path / "run").exists()


def test_networks_that_their_config_does_not_describe_are_refused_before_anything_is_written(finished, tmp_path):
    origin = shutil.copytree(finished[0] / "run", tmp_path / "origin")
    saved = json.loads((origin / "config.json").read_text())
    (origin / "config.json").write_text(json.dumps(saved | {"width": 0.5}))
    options = ("--shards", finished[0] / "data", *SMALL, "--out", tmp_path / "run", "--width", 0.5, "--init", origin)
    for more in ([], ["--dry-run"]):
        assert f"The networks in {origin} are not those of its config.json" in run.is_refused(*options, *more)
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_killed_before_it_saved_anything_begins_with_the_same_networks_again(finished, tmp_path):
    options = ("--shards", finished[0] / "data", *SMALL, "--epochs", 1, "--out", tmp_path / "run")
    run.succeeds(*options, "--init", finished[0] / "run")
    for path in (tmp_path / "run").iterdir():
        if path.name != "config.json":
            remove(path)
    assert f"Begins with both networks of {finished[0] / 'run'}." in run.succeeds(*options)


def test_of_a_run_that_trains_on_the_generator_that_was_read_is_named(finished, tmp_path, monkeypatch):
    origin, out = shutil.copytree(finished[0] / "run", tmp_path / "origin"), tmp_path / "run"
    path = origin / "generator.keras"
    monkeypatch.setattr(resolve, "check_init", lambda *_: path.write_bytes(path.read_bytes() + b"0"))
    run.succeeds("--shards", finished[0] / "data", *SMALL, "--epochs", 1, "--out", out, "--init", origin)
    assert configs.load(out).config.init_generator == draw.digest(path)
