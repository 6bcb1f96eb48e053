"""The command as a user types it, on small shards and a small generator."""

import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from tests.command import Command
from tests.training.runs import sample, save_run, trains_on
from tests.training.shards_by_tensorflow import numbered_images, write_shards
from training import choosing
from training.data.shards import find
from training.evaluate import main

evaluate = Command(main)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Shards of noise, 40 train and 20 valid, an untrained network of attributes beside them, and a run."""
    from training.metrics import attributes

    place = tmp_path_factory.mktemp("place")
    write_shards(place / "data", numbered_images(40), (25, 15))
    write_shards(place / "data", numbered_images(20), (20,), split="valid")
    train = find([str(place / "data")]).only({"train"})
    model = attributes.network(train.image_shape, 3)
    card = attributes.Card(
        train.fingerprint, attributes.digest(model), ["a", "b", "c"], 0, 0.0, "valid", 0, 0, [], 0.0, **train.origin
    )
    attributes.save(place / "data/features", model, card)

    z = keras.Input((4,))
    image = keras.layers.Reshape((16, 16, 1))(keras.layers.Dense(256)(z))  # also below 0 and above 1
    save_run(place / "run", keras.Model(z, image), train)
    return place


@pytest.fixture(scope="module")
def evaluated(place):
    return evaluate.succeeds("--run", place / "run", "--shards", *sorted((place / "data").glob("*.tfrecord")))


def test_the_table_has_every_metric_of_faces_and_of_photos_and_what_is_above_the_floor(place, evaluated):
    lines = evaluated.splitlines()
    head = next(line for line in lines if "faces:train" in line)
    assert head.split() == ["better", "faces:train", "faces:held-out", "held-out:train", "train:train"]
    rows = {line.split()[0]: line for line in lines[lines.index(head) + 1 :][:11]}
    names = "swd frechet frechet_above_floor kid kid_above_floor precision recall density coverage c2st c2st_24"
    assert list(rows) == names.split()
    assert all(rows[name].count("±") == 4 for name in ("kid", "c2st", "c2st_24"))
    assert len({len(line) for line in (head, *rows.values())}) == 1, "aligned"
    assert "20 faces of" in evaluated
    assert "40 train and 20 held-out photos" in evaluated
    report = json.loads((place / "run/evaluation.json").read_text())
    assert f"path_length {report['path_length']:.4g} ± {report['path_length_error']:.1g}" in evaluated
    scores = report["scores"]
    assert list(scores) == ["train", "held_out", "held_out_train", "floor"]
    assert rows["frechet"].split()[2:] == [f"{figures['frechet']:.4g}" for figures in scores.values()]
    for column in ("train", "held_out", "held_out_train"):
        less_floor = scores[column]["frechet"] - scores["floor"]["frechet"]
        assert scores[column]["frechet_above_floor"] == pytest.approx(less_floor)
        assert f"{less_floor:.4g}" in rows["frechet_above_floor"]


def test_the_same_seed_gives_the_same_figures_and_another_gives_others(place, evaluated, tmp_path):
    scores = []
    for number, seed in enumerate((0, 1)):
        out = tmp_path / f"{number}.json"
        evaluate.succeeds(
            "--run", place / "run", "--shards", place / "data", "--metrics", "frechet", "--seed", seed, "--out", out
        )
        scores.append(json.loads(out.read_text())["scores"])
    whole = json.loads((place / "run/evaluation.json").read_text())["scores"]
    assert scores[0]["train"]["frechet"] == pytest.approx(whole["train"]["frechet"], rel=1e-6)
    assert scores[1]["train"]["frechet"] != scores[0]["train"]["frechet"]
    assert scores[1]["floor"] == scores[0]["floor"]


def test_neighbours_show_the_faces_that_sample_draws_beside_photos(place, tmp_path):
    evaluate.succeeds(
        *("--run", place / "run", "--shards", place / "data", "--count", 9),
        *("--metrics", "frechet", "--neighbours", tmp_path / "grid.png", "--out", tmp_path / "scores.json"),
    )
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    assert grid.shape == (3 * 20, 3 * 36)
    sample.succeeds("--run", place / "run", "--count", 9, "--out", tmp_path / "faces.png")
    faces = np.asarray(Image.open(tmp_path / "faces.png"))
    photos = numbered_images(40)[..., 0]
    for row in range(3):
        for column in range(3):
            pair = grid[20 * row + 2 :, 36 * column + 2 :][:16, :32]
            assert np.array_equal(pair[:, :16], faces[16 * row :, 16 * column :][:16, :16])
            assert any(np.array_equal(pair[:, 16:], photo) for photo in photos)


def test_chosen_faces_are_measured_apart_from_all(place, evaluated, tmp_path, monkeypatch):
    monkeypatch.setattr(choosing, "REFERENCE", 50)
    run = tmp_path / "run"
    shutil.copytree(place / "run", run)
    before = (run / "evaluation.json").read_text()
    output = evaluate.succeeds("--run", run, "--shards", place / "data", "--metrics", "swd", "--best-of", 4)
    assert f"20 faces of {run}, each the least odd of 4" in output
    report = json.loads((run / "evaluation-best-of-4.json").read_text())
    assert (report["best_of"], report["count"]) == (4, 20)
    assert (run / "evaluation.json").read_text() == before
    assert json.loads(before)["best_of"] == 1
    assert report["scores"]["train"]["swd"] != json.loads(before)["scores"]["train"]["swd"]


def test_the_report_names_the_generator_that_was_measured_of_a_run_that_trains_on(place, tmp_path, monkeypatch):
    run = shutil.copytree(place / "run", tmp_path / "run")
    digest = trains_on(run, monkeypatch)
    evaluate.succeeds("--run", run, "--shards", place / "data", "--metrics", "swd")
    assert json.loads((run / "evaluation.json").read_text())["generator"] == digest
