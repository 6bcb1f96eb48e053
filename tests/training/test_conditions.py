"""Runs with --condition as a user has them: trained, continued, drawn by their attributes, and judged."""

import json
import shutil
from dataclasses import replace
from unicodedata import normalize

import keras
import numpy as np
import pytest
from PIL import Image

from explore.sample import captioned, legible
from explore.walk import main as walk_command
from tests.command import Command
from tests.training.runs import cells, sample, save_run, weights_in
from tests.training.runs import run as train
from tests.training.shards_by_tensorflow import bright_or_striped, numbered_images, write_shards
from training import config as configs
from training.data import labels
from training.data.reading import read_attributes
from training.data.shards import find
from training.evaluate import main as evaluate_command
from training.evaluate import open_judge
from training.features import main as features_command
from training.options import NameList
from training.resolve import conditions_of

walk, evaluate, features = map(Command, (walk_command, evaluate_command, features_command))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    place = tmp_path_factory.mktemp("conditions") / "data"
    for split, count, seed in (("train", 300, 0), ("valid", 200, 1)):
        images, attributes = bright_or_striped(count, seed)
        write_shards(place, images, (count,), split, attributes)
    return place


@pytest.fixture(scope="module")
def trained(data):
    """A run of two epochs, conditioned on both."""
    out = data.parent / "run"
    return out, train.succeeds(*options(data, out), "--epochs", 2, "--metrics", "swd", "--metrics-kimg", 0.2)


def options(data, out):
    return ("--shards", data, "--out", out, "--batch-size", 20, "--latent", 8, "--width", 0.1, "--condition",
            "Bright,Striped")  # fmt: skip


def test_the_generator_takes_z_and_labels_by_their_names(trained):
    out, output = trained
    assert "condition" in output
    assert "Bright,Striped" in output
    generator = keras.saving.load_model(out / "generator.keras", compile=False)
    assert {entry.name: entry.shape for entry in generator.inputs} == {"z": (None, 8), "labels": (None, 2)}
    assert labels.load(out).photos.sum() == 300


def test_a_run_that_is_continued_is_bit_for_bit_one_that_was_not_interrupted(trained, data):
    whole, parts = trained[0], shutil.copytree(trained[0], data.parent / "parts")
    first_epoch = [*parts.glob("checkpoints/step-15.*")]
    for path in [*parts.glob("checkpoints/*"), *parts.glob("*.keras")]:
        if path not in first_epoch:
            path.unlink()
    counted = labels.load(parts)
    labels.save(parts, replace(counted, photos=2 * counted.photos))
    assert "15 of 30 steps are done" in train.succeeds(*options(data, parts), "--epochs", 2)
    np.testing.assert_equal(weights_in(parts), weights_in(whole))
    # All photos would be read to count them again.
    assert labels.load(parts).photos.sum() == 2 * labels.load(whole).photos.sum()


def test_all_are_the_attributes_of_the_shards(trained, data):
    out, _ = trained
    assert "30 of 30 steps are done" in train.succeeds(*options(data, out)[:-1], "all", "--epochs", 2)


def test_conditions_that_the_shards_do_not_have_are_refused(data):
    out = data.parent / "refused"
    assert "no attribute 'Bald', but Bright, Striped" in train.is_refused(*options(data, out)[:-1], "Bald")
    assert not out.exists()


# A generator that draws what it is asked for, in the place of one that would take an hour to learn it.


def generator_that(obeys):
    """A generator of bright faces where Bright is 1, and of stripes where Striped is 1; or where they are 0."""
    z, asked = keras.Input((8,), name="z"), keras.Input((2,), name="labels")
    noise = keras.layers.Reshape((16, 16, 1))(keras.layers.Dense(256)(z))
    base = keras.layers.Reshape((16, 16, 1))(keras.layers.Dense(256)(asked))
    model = keras.Model([z, asked], keras.layers.Add()([noise, base]))
    stripes = np.zeros((16, 16))
    stripes[:, ::4] = 30 / 255
    sign = 1 if obeys else -1
    flat = np.full(256, 125 / 255) + stripes.ravel()
    to_noise = 0.01 * np.random.default_rng(0).standard_normal((8, 256))
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    of_labels, of_z = sorted(dense, key=lambda layer: layer.kernel.shape[0])
    of_labels.set_weights([sign * np.stack([np.full(256, 65 / 255), stripes.ravel()]), flat])
    of_z.set_weights([to_noise, np.zeros(256)])
    return model


def run_that(obeys, out, data):
    return save_run(out, generator_that(obeys), find([str(data)]).only({"train"}), "Bright,Striped")


@pytest.fixture(scope="module")
def obeying(data):
    return run_that(True, data.parent / "obeying", data)


def test_what_is_set_is_drawn(obeying, tmp_path):
    for answer, is_bright in (("=0", False), (" = 1", True)):
        output = sample.succeeds("--run", obeying, "--set", f"Bright{answer}", "--out", tmp_path / "faces.png")
        assert "64 faces" in output
        faces = cells(tmp_path / "faces.png", 8, 8).reshape(64, 16, 16)
        assert ((faces[:, :, 1].mean(axis=1) > 125) == is_bright).all()
        striped = faces[:, :, ::4].mean(axis=(1, 2)) - faces[:, :, 2].mean(axis=1) > 30
        assert 16 < striped.sum() < 48, "what is not set is as among the photos"


def test_each_answer_has_its_column_below_its_caption_and_each_row_one_face(obeying, tmp_path):
    path = tmp_path / "faces.png"
    sample.succeeds("--run", obeying, "--each", "Striped,Bright", "--count", 3, "--seed", 4, "--out", path)
    picture = np.asarray(Image.open(path))
    top = picture.shape[0] - 3 * 16
    assert top > 12
    assert picture[:top].max() > 100, "captions"
    faces = cells(path, 3, 4, top=top).astype(int)
    assert (faces[:, :, :, 1].mean(axis=2) > 125).tolist() == 3 * [[False, True, False, True]]
    striped = faces[..., ::4].mean(axis=(2, 3)) - faces[..., 2].mean(axis=2) > 30
    assert striped.tolist() == 3 * [[False, False, True, True]]
    plain = faces - np.round(faces.mean(axis=(2, 3), keepdims=True)).astype(int)
    assert np.abs(plain[:, 0] - plain[:, 1]).max() <= 4, "the same z along a row"
    assert np.abs(plain[0, 0] - plain[1, 0]).max() > 4, "another z below it"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "Bright"), "'Bright' is not NAME=0|1"),
        (("--set", "Bright=1,5"), "'5' is not NAME=0|1"),
        (("--set", "Bright=2"), "is neither 0 nor 1"),
        (("--set", "Bright=1,Bright=0"), "'Bright' is named twice"),
        (("--set", "Bald=1"), "is conditioned on Bright,Striped, not on Bald"),
        (("--each", "Bald"), "is conditioned on Bright,Striped, not on Bald"),
        (("--set", "Bright=1", "--each", "Bright"), "Bright is decided by --set and by --each"),
    ],
)
def test_what_cannot_be_drawn_is_one_message(obeying, tmp_path, arguments, message):
    assert message in sample.is_refused("--run", obeying, *arguments, "--out", tmp_path / "faces.png")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def either(obeying, tmp_path):
    """The obeying run, as if each photo were bright or striped, and none both or neither."""
    run = shutil.copytree(obeying, tmp_path / "run")
    saved = {"names": ["Bright", "Striped"], "photos": {"10": 1, "01": 1}, "exclusive": ["Bright", "Striped"]}
    (run / "labels.json").write_text(json.dumps(saved))
    return run


def test_captions_that_cannot_be_read_are_numbers_that_the_output_explains(obeying, tmp_path):
    run, names = shutil.copytree(obeying, tmp_path / "run"), "밝음,줄무늬"
    for path in (run / "config.json", run / "labels.json"):
        saved = json.loads(path.read_text())
        path.write_text(
            json.dumps(saved | ({"condition": names} if "condition" in saved else {"names": names.split(",")}))
        )
    output = sample.succeeds("--run", run, "--each", names, "--count", 1, "--out", tmp_path / "faces.png")
    assert output.splitlines()[1:3] == ["Column 1: 밝음=0, 줄무늬=0", "Column 2: 밝음=0, 줄무늬=1"]
    captions = ["Male=0", "5_o_Clock_Shadow=1"]
    assert (legible(captions, 64), legible(captions, 32)) == (captions, ["1", "2"])
    assert legible(["Übergröße=1"], 64) == ["Übergröße=1"]
    rows = np.zeros((1, 2, 8, 64, 1), np.uint8)
    shown, missing = (captioned(rows, [name, name]) for name in ("ÄÖ", "고양"))
    assert (shown != missing).any(), "letters, and no boxes in their place"


def test_of_exclusive_attributes_each_column_has_one(either, tmp_path):
    path = tmp_path / "faces.png"
    sample.succeeds("--run", either, "--each", "Striped,Bright", "--count", 3, "--out", path)
    faces = cells(path, 3, 2, top=np.asarray(Image.open(path)).shape[0] - 3 * 16).astype(int)
    assert (faces[:, :, :, 1].mean(axis=2) > 125).tolist() == 3 * [[False, True]]
    striped = faces[..., ::4].mean(axis=(2, 3)) - faces[..., 2].mean(axis=2) > 30
    assert striped.tolist() == 3 * [[True, False]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "Bright=1,Striped=1"), "No photo has Bright=1,Striped=1"),
        (("--set", "Bright=0,Striped=0"), "No photo has Bright=0,Striped=0"),
        (("--set", "Bright=1", "--each", "Striped"), "Striped is decided by --set and by --each"),
    ],
)
def test_what_exclusive_attributes_rule_out_is_one_message(either, tmp_path, arguments, message):
    assert message in sample.is_refused("--run", either, *arguments, "--out", tmp_path / "faces.png")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_walk_knows_exclusive_attributes(either, tmp_path):
    arguments = ("--run", either, "--set", "Bright=1,Striped=1", "--out", tmp_path / "walk.gif")
    assert "No photo has Bright=1,Striped=1" in walk.is_refused(*arguments)


@pytest.fixture(scope="module")
def judged(data):
    return features.succeeds("--shards", data, "--judge", "--kimg", 8)


def test_the_judge_is_trained_on_held_out_photos_and_checked_on_the_others(judged, data):
    assert "2 attributes of 200 photos" in judged
    assert "on the 300 train photos" in judged
    card = json.loads((data / "features/judge.json").read_text())
    assert card["photos"] == find([str(data)]).only({"valid"}).fingerprint
    assert card["accuracy"] > 0.95


@pytest.mark.parametrize("obeys", [True, False])
def test_the_judge_says_how_often_faces_have_what_was_asked_for(judged, data, obeying, tmp_path, obeys):
    run = obeying if obeys else run_that(False, tmp_path / "contrary", data)
    output = evaluate.succeeds("--run", run, "--shards", data, "--metrics", "swd", "--out", tmp_path / "s.json")
    figures = json.loads((tmp_path / "s.json").read_text())["conditions"]
    assert list(figures) == ["Bright", "Striped"]
    for name in figures:
        assert figures[name]["photos"] > 0.95
    assert (figures["Bright"]["faces"] > 0.9) == obeys
    assert (figures["Bright"]["faces"] < 0.1) != obeys
    assert (figures["Bright"]["faces_with"] > 0.9) == (figures["Bright"]["faces_without"] > 0.9) == obeys
    assert "recognised by the judge" in output
    assert f"{figures['Striped']['faces']:.3f}:{figures['Striped']['photos']:.3f}" in output


def test_without_a_judge_the_other_figures_are_measured_and_the_command_is_named(obeying, data, tmp_path):
    shards = tmp_path / "data"
    for split, count, seed in (("train", 300, 0), ("valid", 20, 1)):
        images, attributes = bright_or_striped(count, seed)
        write_shards(shards, images, (count,), split, attributes)
    output = evaluate.succeeds("--run", obeying, "--shards", shards, "--metrics", "swd", "--out", tmp_path / "s.json")
    assert f"python -m training.features --judge --shards {shards}" in output
    assert "conditions" not in json.loads((tmp_path / "s.json").read_text())


def test_a_judge_of_the_photos_that_a_run_was_trained_on_is_not_asked(judged, data, obeying, capsys):
    shards, config = find([str(data)]), configs.load(obeying).config
    assert open_judge(shards, config)
    assert open_judge(shards, replace(config, train_on="valid")) is None
    assert "The judge knows the photos that this run was trained on (valid)" in capsys.readouterr().out


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_korean_attribute_is_known_in_either_form(tmp_path, forms):
    in_table, typed = (normalize(form, "고양이") for form in forms)
    write_shards(tmp_path / "data", numbered_images(4), (4,), attributes={in_table: np.arange(4) % 2})
    shards = find([str(tmp_path / "data")])
    condition = conditions_of(shards, NameList().convert(typed, None, None))
    assert read_attributes(shards, condition.split(",")).ravel().tolist() == [0, 1, 0, 1]


def test_shards_without_the_conditions_of_the_run_are_refused(obeying, tmp_path):
    images, attributes = bright_or_striped(30, 0)
    write_shards(tmp_path / "data", images, (30,), "train", {"Bright": attributes["Bright"]})
    output = evaluate.is_refused("--run", obeying, "--shards", tmp_path / "data", "--metrics", "swd")
    assert "no attribute 'Striped', but Bright" in output


def test_more_columns_than_a_picture_can_show_are_refused(obeying, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(obeying, out)
    names = ",".join(f"a{number}" for number in range(7))
    saved = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(saved | {"condition": names}))
    assert "make 128 columns" in sample.is_refused("--run", out, "--each", names, "--out", tmp_path / "faces.png")


def test_a_judge_needs_photos_that_were_held_out(tmp_path):
    images, attributes = bright_or_striped(30, 0)
    write_shards(tmp_path / "data", images, (30,), "train", attributes)
    assert "No test or valid shards" in features.is_refused("--shards", tmp_path / "data", "--judge")


def test_the_judge_sees_photos_shifted_while_it_is_trained(judged, data):
    judge = keras.saving.load_model(data / "features/judge.keras", compile=False)
    [moves] = [layer for layer in judge.layers if isinstance(layer, keras.layers.RandomTranslation)]
    assert (moves.height_factor, moves.width_factor, moves.fill_mode) == (1 / 32, 1 / 32, "nearest")
    assert json.loads((data / "features/judge.json").read_text())["shift"] == 1 / 32
