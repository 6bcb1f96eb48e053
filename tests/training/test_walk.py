"""The command as a user types it."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from tests.command import Command
from training import config as configs
from training import draw
from training.config import Config
from training.grid import tile, write_png
from training.presets import PRESETS
from training.walk import main

walk = Command(main)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    z = keras.Input((4,), name="z")
    keras.Model(z, keras.layers.Reshape((8, 8, 1))(keras.layers.Dense(64, activation="sigmoid")(z))).save(
        folder / "generator.keras"
    )
    method = replace(PRESETS["classic"], latent=4, latent_distribution="normal")
    configs.save(folder, Config("classic", method, 0, "train", 40, "abc", (8, 8, 1), cache=True), {})
    return folder


def frames(path):
    picture = Image.open(path)
    for number in range(picture.n_frames):
        picture.seek(number)
        yield np.asarray(picture.convert("L")).astype(int)


def test_it_passes_the_faces_of_its_seeds(run, tmp_path):
    out = tmp_path / "walk.png"
    said = walk.succeeds(
        "--run", run, "--seeds", "5,6", "--count", 3, "--seconds", 0.5, "--fps", 10, "--scale", 1, "--out", out
    )
    assert "10 frames, 1 s" in said
    shown = list(frames(out))
    generator = draw.load(run / "generator.keras")
    for seed, number in ((5, 0), (6, 5)):
        faces = tile(draw.faces(generator, 3, seed, "normal"))[..., 0]
        np.testing.assert_allclose(shown[number], faces.astype(int), atol=1)
    assert np.abs(shown[2] - shown[0]).max() > 3
    walk.succeeds("--run", run, "--seeds", "5,6", "--no-loop", "--seconds", 0.5, "--fps", 10, "--out", out)
    assert len(list(frames(out))) == 6


def test_the_samples_of_the_training_become_its_animation(run, tmp_path):
    (run / "samples").mkdir()
    grids = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 1), dtype=np.uint8)
    for number in (2, 0, 1):
        write_png(run / f"samples/epoch-{number + 1:05d}.png", grids[number])
    out = tmp_path / "training.png"
    assert "3 frames, one for each grid" in walk.succeeds("--run", run, "--training", "--scale", 1, "--out", out)
    np.testing.assert_array_equal(list(frames(out)), grids[..., 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seeds", "1"), "two seeds or more"),
        (("--seeds", "1,x"), "'x' is not a valid integer"),
        (("--set", "Male=1"), "was trained without conditions"),
        (("--out", "walk.avi"), "an animation is a .gif"),
        (("--fps", "0"), "--fps"),
    ],
)
def test_what_is_wrong_is_one_message(run, arguments, message):
    assert message in walk.is_refused("--run", run, *arguments)


def test_a_folder_without_samples_or_generator_is_named(tmp_path):
    out = tmp_path / "walk.gif"
    assert "has no samples" in walk.is_refused("--run", tmp_path, "--training", "--out", out)
    assert "is not a run" in walk.is_refused("--run", tmp_path, "--out", out)
