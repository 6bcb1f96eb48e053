"""The command as a user types it, on a generator of which it is known what each number of z does."""

import csv
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from explore.directions import __main__ as command
from explore.directions import directions
from explore.directions.directions import Directions
from explore.directions.rescoring import Rescoring, table
from explore.sample import main as sample_command
from tests.command import Command
from tests.training.every_preset import WITH_A_GENERATOR_OF_THEIR_OWN, uneven_generator
from tests.training.runs import trains_on
from tests.training.shards_by_tensorflow import bright_or_striped, write_shards
from training import config as configs
from training.config import Config
from training.data import labels
from training.data.labels import LabelFrequencies
from training.features import main as features_command
from training.presets import PRESETS

pytestmark = pytest.mark.usefixtures("quick_directions")

find, features, sample = map(Command, (command.main, features_command, sample_command))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Shards, both networks of attributes, and a run: number 0 of z is brightness, number 1 the stripes."""
    place = tmp_path_factory.mktemp("directions")
    for split, count, seed in (("train", 300, 0), ("valid", 300, 1)):
        images, attributes = bright_or_striped(count, seed, 0.5, (80, 170))
        write_shards(place / "data", images, (count,), split, attributes)
    for option in ((), ("--judge",)):
        features.succeeds("--shards", place / "data", "--kimg", 8, *option)
    run = place / "run"
    run.mkdir()
    z = keras.Input((8,), name="z")
    model = keras.Model(z, keras.layers.Reshape((16, 16, 1))(keras.layers.Dense(256)(z)))
    kernel = 0.005 * np.random.default_rng(0).standard_normal((8, 256))
    stripes = np.zeros((16, 16))
    stripes[:, ::4] = 1
    kernel[0] += 45 / 255
    kernel[1] += 30 / 255 * stripes.ravel()
    model.layers[1].set_weights([kernel, 125 / 255 + 30 / 255 * stripes.ravel()])
    model.save(run / "generator.keras")
    method = replace(PRESETS["classic"], latent=8, latent_distribution="normal")
    configs.save(run, Config("classic", method, 0, "train", 300, "abc", (16, 16, 1), cache=True), {})
    return place


def copy_of(run, folder):
    """The run without its directions."""
    return shutil.copytree(run, folder, ignore=shutil.ignore_patterns("directions.*"))


@pytest.fixture(scope="module")
def output(place):
    return find.succeeds("--run", place / "run", "--shards", place / "data", "--count", 2000)


def test_each_attribute_has_the_number_that_it_is_made_of(place, output):
    result = directions.load(place / "run")
    assert result.names == ("Bright", "Striped")
    shares = result.vectors / np.linalg.norm(result.vectors, axis=1, keepdims=True)
    assert shares[0, 0] > 0.95
    assert shares[1, 1] > 0.8
    assert result.auc.min() > 0.9
    assert result.is_calibrated.all()


def test_directions_name_the_generator_that_they_were_found_for_of_a_run_that_trains_on(place, tmp_path, monkeypatch):
    run = copy_of(place / "run", tmp_path / "run")
    digest = trains_on(run, monkeypatch)
    find.succeeds("--run", run, "--no-attributes")
    assert directions.load(run).generator == digest


def test_the_judge_sees_its_own_attribute_change_and_says_so(place, output):
    rows = list(csv.DictReader((place / "run/directions.csv").open()))
    assert float(rows[0]["Bright"]) > 0.8
    assert float(rows[0]["Striped"]) < 0.5
    assert Image.open(place / "run/directions.png").size[0] > 200
    [line] = [line for line in output.splitlines() if line.startswith("Bright")]
    assert f"{float(rows[0]['Bright']):.1%}" in line


def test_directions_that_are_not_calibrated_come_last_and_are_named():
    names, changed = ("Bald", "Male", "Young"), np.diag([0.9, 0.7, 0.8])
    known = Directions(names, np.eye(3), np.float32([0.5, 0.9, np.nan]), np.array([False, True, True]))
    head, *rows, last = table(known, Rescoring(changed, np.ones(3)), 3.0).splitlines()[1:]
    assert "AUC (0.5 is chance)" in head
    assert [row.split()[:3] for row in rows] == [
        ["Young", "nan", "80.0%"],
        ["Male", "0.90", "70.0%"],
        ["Bald", "0.50", "90.0%"],
    ]
    assert last.startswith("Not calibrated")
    assert last.endswith(": Bald.")


def test_faces_are_moved_by_name(place, output, tmp_path):
    path = tmp_path / "faces.png"
    sample.succeeds("--run", place / "run", "--strip", "Bright", "--count", 3, "--out", path)
    picture = np.asarray(Image.open(path)).astype(int)
    faces = picture[-3 * 16 :].reshape(3, 16, 7, 16).mean(axis=(1, 3))
    assert (np.diff(faces, axis=1) > 0).all(), "brighter from left to right"
    means = []
    for edit in ("Bright=-2", "Bright=+2,Striped=1"):
        sample.succeeds("--run", place / "run", "--edit", edit, "--out", path)
        means.append(np.asarray(Image.open(path)).mean())
    assert means[0] + 30 < means[1]


def test_without_attributes_directions_come_from_the_weights(place, tmp_path):
    run = copy_of(place / "run", tmp_path / "run")
    assert "directions from the weights alone" in find.succeeds("--run", run, "--no-attributes")
    result = directions.load(run)
    assert result.names[0] == "direction_1"
    assert abs(result.vectors[0, 0]) > 0.9, "brightness moves the most pixels"
    sample.succeeds("--run", run, "--strip", "direction_1", "--out", tmp_path / "faces.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--edit", "Bald=1"), "has no direction 'Bald'. Choose one of these by --edit or --strip: Bright, Striped"),
        (("--edit", "Bright"), "'Bright' is not NAME=NUMBER"),
        (("--edit", "Bright=nan"), "is not a finite number"),
        (("--edit", "Bright=1,Bright=2"), "'Bright' is named twice"),
        (("--strip", "Bald"), "has no direction 'Bald'"),
    ],
)
def test_what_cannot_be_moved_is_one_message(place, output, tmp_path, arguments, message):
    assert message in sample.is_refused("--run", place / "run", *arguments, "--out", tmp_path / "faces.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("conditions", [0, 2])
@pytest.mark.parametrize("preset", WITH_A_GENERATOR_OF_THEIR_OWN)
def test_the_weights_that_directions_come_from_are_those_of_z(preset, conditions):
    """Without them z changes nothing; but in `lite`, where other layers take it too."""
    generator, latent = uneven_generator(preset, (16, 16, 1), conditions), PRESETS[preset].latent
    kernel = command.first_kernel(generator, latent)
    [layer] = [layer for layer in generator.layers if layer.weights and is_in(kernel, np.asarray(layer.weights[0]))]
    without = np.asarray(layer.weights[0]).copy()
    without[:latent] = 0
    layer.weights[0].assign(without)
    z = np.random.default_rng(1).standard_normal((2, latent)).astype(np.float32)
    asked = np.tile(np.float32([[1, -1]]), (2, 1))
    faces = np.asarray(generator([z, asked] if conditions else z, training=False))
    assert np.array_equal(faces[0], faces[1]) == (preset != "lite")


def is_in(kernel, weight):
    return weight.ndim == 2 and weight.shape[1] == kernel.shape[1] and np.array_equal(weight[: len(kernel)], kernel)


def test_what_a_run_is_conditioned_on_has_no_direction(place, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    z, answers = keras.Input((8,), name="z"), keras.Input((1,), name="labels")
    kernel, bias = keras.saving.load_model(place / "run/generator.keras", compile=False).get_weights()
    pixels = keras.layers.Dense(256)
    drawn = keras.layers.Reshape((16, 16, 1))(pixels(keras.layers.Concatenate()([z, answers])))
    model = keras.Model([z, answers], drawn)
    pixels.set_weights([np.concatenate([kernel[:1], 0 * kernel[1:2], kernel[2:], kernel[1:2]]), bias])
    model.save(run / "generator.keras")
    config = configs.load(place / "run").config
    configs.save(run, replace(config, condition="Striped"), {})
    labels.save(run, LabelFrequencies(("Striped",), np.float32([[-1], [1]]), np.array([1, 1], np.int64)))
    printed = find.succeeds("--run", run, "--shards", place / "data", "--count", 1000)
    assert "1 directions from 1,000 faces: Bright" in printed
    means = []
    for edit in ("Bright=-3", "Bright=3"):
        sample.succeeds("--run", run, "--edit", edit, "--out", tmp_path / "faces.png")
        means.append(np.asarray(Image.open(tmp_path / "faces.png")).mean())
    assert means[0] + 30 < means[1]
    configs.save(run, replace(config, condition="Bright,Striped"), {})
    assert "Every attribute is a condition" in find.is_refused("--run", run, "--shards", place / "data")


def test_shards_without_attributes_are_refused_with_the_option_that_needs_none(place, tmp_path):
    write_shards(tmp_path / "data", np.zeros((4, 16, 16, 1), np.uint8), (4,))
    assert "--no-attributes" in find.is_refused("--run", place / "run", "--shards", tmp_path / "data")


def test_shards_of_another_shape_are_refused(place, tmp_path):
    write_shards(tmp_path / "data", np.zeros((4, 8, 8, 1), np.uint8), (4,))
    printed = find.is_refused("--run", place / "run", "--shards", tmp_path / "data")
    assert "images of 16x16x1 and the shards hold 8x8x1" in printed


def test_without_a_judge_directions_are_kept_and_the_command_is_named(place, output, tmp_path, monkeypatch):
    of_the_judged_run = directions.load(place / "run")
    monkeypatch.setattr(command, "find_by_logits", lambda *_: of_the_judged_run)
    run = copy_of(place / "run", tmp_path / "run")
    (run / "directions.csv").write_text("of the directions before")
    shutil.copytree(place / "data/features", tmp_path / "networks", ignore=shutil.ignore_patterns("judge.*"))
    named = ("--shards", place / "data", "--features-dir", tmp_path / "networks")
    printed = find.succeeds("--run", run, *named, "--count", 1000)
    assert "No judge says what else changes" in printed
    assert f"training.features --judge --shards {place / 'data'} --out {tmp_path / 'networks'}" in printed
    assert directions.load(run).names == ("Bright", "Striped")
    assert not (run / "directions.csv").exists()


def test_directions_of_an_earlier_generator_are_warned_of(place, output, tmp_path):
    assert "earlier state" not in sample.succeeds(
        "--run", place / "run", "--strip", "Bright", "--out", tmp_path / "faces.png"
    )
    run = tmp_path / "run"
    shutil.copytree(place / "run", run)
    generator = keras.saving.load_model(run / "generator.keras", compile=False)
    generator.layers[1].kernel.assign(2 * generator.layers[1].kernel)
    generator.save(run / "generator.keras")
    printed = sample.succeeds("--run", run, "--strip", "Bright", "--out", tmp_path / "faces.png")
    assert f"python -m explore.directions --run {run}" in printed


def test_a_run_without_directions_says_how_to_get_them(place, tmp_path):
    run = copy_of(place / "run", tmp_path / "run")
    output = sample.is_refused("--run", run, "--strip", "Bright", "--out", tmp_path / "faces.png")
    assert f"python -m explore.directions --run {run}" in output
