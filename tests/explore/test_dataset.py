"""A data set that a generator drew, as a user makes it and as stage 1 reads it; and the one in docs/."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from zipfile import ZipFile

import keras
import numpy as np
import pytest
from PIL import Image

from explore import dataset
from preprocess import crop
from preprocess.annotations import read_attributes, read_partitions
from tests.command import Command
from tests.disk import full_disk
from tests.documents import DRAWN_FACES, MODEL
from tests.training.shards_by_tensorflow import bright_or_striped, write_shards
from training import choosing, draw
from training import config as configs
from training.config import Config
from training.data.shards import find
from training.features import main as features
from training.metrics import attributes
from training.presets import PRESETS

command = Command(dataset.main)
BOX, _ = crop.CELEBA_BOXES["progan"]
PROGAN = {"name": "progan", "box": BOX, "photo_size": crop.CELEBA_PHOTO}
NAMES_OF_CELEBA = (
    "b1336d224fff3e0bb8fd906e934c3457bdd7e41ea6bb39c75032c34355cc17d8"  # sha256 of the second line of the official list
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Shards of the crop progan, their network of attributes, and a run whose first number of z is the brightness."""
    place = tmp_path_factory.mktemp("dataset")
    images, answers = bright_or_striped(200, 0, 0.5)
    write_shards(place / "data", images, (200,), attributes=answers)
    crop_is(place / "data", PROGAN)
    Command(features).succeeds("--shards", place / "data", "--kimg", 2)
    (place / "run").mkdir()
    z = keras.Input((8,))
    model = keras.Model(z, keras.layers.Reshape((16, 16, 1))(keras.layers.Dense(256, activation="sigmoid")(z)))
    kernel = 0.1 * np.random.default_rng(0).standard_normal((8, 256))
    kernel[0] += 1
    model.layers[1].set_weights([kernel, np.zeros(256)])
    model.save(place / "run/generator.keras")
    method = replace(PRESETS["lite"], latent=8)
    configs.save(place / "run", Config("lite", method, 0, "train", 200, "abc", (16, 16, 1), cache=True), {})
    return place


def crop_is(data, value):
    manifest = json.loads((data / "manifest.json").read_text())
    (data / "manifest.json").write_text(json.dumps(manifest | {"settings": {"crop": value}}))


def arguments(place, out, *more):
    shards = "--shards", place / "data"
    return "--run", place / "run", *shards, "--count", 20, "--seed", 3, "--out", out, *more


@pytest.fixture(scope="module")
def drawn(place):
    command.succeeds(*arguments(place, place / "drawn"))
    return place / "drawn"


def pixels_of(folder, count, size):
    """The first photos of a data set, as stage 1 crops them by default, by their id."""
    with ZipFile(folder / "drawn_faces.zip") as archive:
        names = sorted(archive.namelist())[:count]
        cropped = {name: crop.pixels(archive.read(name), crop.parse("progan", size=size)) for name in names}
    pixels = np.stack([np.frombuffer(data, np.uint8).reshape(size, size, 1) for data in cropped.values()])
    return [name.removeprefix("img_align_celeba/") for name in cropped], pixels


def decibels(images, others):
    """The peak signal-to-noise ratio of each image."""
    return 10 * np.log10(255**2 / np.square(images.astype(float) - others).mean((1, 2, 3)))


def test_stage_1_gives_the_faces_back_with_the_attributes_that_the_network_sees(place, drawn):
    ids, pixels = pixels_of(drawn, 20, 16)
    faces = draw.faces(draw.load(place / "run/generator.keras"), 20, 3, "normal")
    assert ids == [f"{number:06d}.jpg" for number in range(1, 21)]
    assert decibels(pixels, faces).min() > 38
    listed = read_attributes(drawn / "list_attr_celeba.txt", ids)
    network, card = attributes.load_network(find([str(place / "data")]))
    answers = attributes.answers_of(network, card, listed.names)(faces)
    assert listed.names == ("Bright", "Striped")
    assert [list(row) for row in listed.rows.values()] == answers.tolist()
    assert 0 < answers[:, 0].sum() < 20
    splits = read_partitions(drawn / "list_eval_partition.txt", ids)
    assert list(splits.values()) == 2 * [*8 * ["train"], "valid", "test"]


def test_the_same_seed_draws_the_same_bytes_also_in_place_of_others(place, drawn, tmp_path):
    before = {path.name: path.read_bytes() for path in drawn.iterdir()}
    assert set(before) == {"drawn_faces.zip", "list_attr_celeba.txt", "list_eval_partition.txt"}
    for seed, is_same in ((4, False), (3, True)):
        command.succeeds(*arguments(place, tmp_path, "--seed", seed))
        assert (before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}) == is_same


def test_faces_can_be_chosen(place, tmp_path, monkeypatch):
    monkeypatch.setattr(choosing, "REFERENCE", 50)
    output = command.succeeds(*arguments(place, tmp_path, "--best-of", 2))
    assert "20 faces in drawn_faces.zip, each the least odd of 2" in output
    generator = draw.load(place / "run/generator.keras")
    chosen = draw.render(generator, choosing.latents(generator, 20, 3, "normal", 2))
    assert decibels(pixels_of(tmp_path, 20, 16)[1], chosen).min() > 38


def test_photos_have_the_colours_of_the_faces():
    small = np.random.default_rng(0).integers(60, 200, (2, 4, 4, 3), dtype=np.uint8)
    faces = np.stack([np.asarray(Image.fromarray(face).resize((64, 64), Image.Resampling.BICUBIC)) for face in small])
    photos = dataset.photos_of(faces, dataset.Layout(BOX, crop.CELEBA_PHOTO))
    cropped = [np.frombuffer(crop.pixels(photo, crop.parse("progan", color="rgb")), np.uint8) for photo in photos]
    assert decibels(np.reshape(cropped, faces.shape), faces).min() > 30


def test_the_lists_of_other_photos_are_not_replaced(place, tmp_path):
    (tmp_path / "list_attr_celeba.txt").write_text("of CelebA")
    assert "holds the lists of other photos" in command.is_refused(*arguments(place, tmp_path))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["of CelebA"]


def test_where_the_disk_was_full_the_same_command_completes_the_data_set(place, drawn, tmp_path):
    with full_disk():
        assert command(*arguments(place, tmp_path)).exit_code == 1
    command.succeeds(*arguments(place, tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in drawn.iterdir()
    }


@pytest.mark.parametrize("change", [{"name": "center", "box": None}, {"name": "0,0,9,9", "photo_size": None}])
def test_a_crop_that_does_not_say_where_a_face_lies_is_refused(place, tmp_path, change):
    data = tmp_path / "data"
    write_shards(data, bright_or_striped(2, 0)[0], (2,))
    crop_is(data, PROGAN | change)
    message = command.is_refused("--run", place / "run", "--shards", data, "--out", tmp_path / "out")
    assert f"the crop {change['name']}" in message
    assert not (tmp_path / "out").exists()


def test_the_data_set_of_the_docs_is_laid_out_as_celeba_and_drawn_by_the_model_of_the_docs():
    ids, pixels = pixels_of(DRAWN_FACES, 16, 64)
    generator = draw.load(MODEL / "generator.keras")
    faces = draw.render(generator, choosing.latents(generator, 16, 0, "normal", 8))
    assert np.median(decibels(pixels, faces)) > 37  # processors round differently
    with ZipFile(DRAWN_FACES / "drawn_faces.zip") as archive:
        photos = [archive.open(name) for name in archive.namelist()]
    assert {(Image.open(photo).size, Image.open(photo).mode) for photo in photos} == {((178, 218), "L")}
    ids = [f"{number:06d}.jpg" for number in range(1, 3001)]
    assert list(read_attributes(DRAWN_FACES / "list_attr_celeba.txt", ids).rows) == ids
    [_, names, *_] = (DRAWN_FACES / "list_attr_celeba.txt").read_text().splitlines()
    assert hashlib.sha256(names.encode()).hexdigest() == NAMES_OF_CELEBA
    splits = read_partitions(DRAWN_FACES / "list_eval_partition.txt", ids)
    assert Counter(splits.values()) == {"train": 2400, "valid": 300, "test": 300}
    assert sum(path.stat().st_size for path in DRAWN_FACES.iterdir()) < 8_000_000
