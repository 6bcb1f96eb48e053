"""The command as a user types it, on small shards and a small generator."""

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from click import UsageError
from PIL import Image

from explore.sample import main as sample_command
from tests.command import Command
from tests.training.runs import SMALL
from tests.training.runs import run as train
from tests.training.shards_by_tensorflow import numbered_images, write_shards
from training import config as configs
from training.config import Config
from training.data.shards import find
from training.evaluate import main, pairs
from training.metrics import efficientnet
from training.metrics.space import FeatureSpace
from training.presets import PRESETS

evaluate, sample = Command(main), Command(sample_command)


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

    run = place / "run"
    run.mkdir()
    z = keras.Input((4,))
    image = keras.layers.Reshape((16, 16, 1))(keras.layers.Dense(256)(z))  # also below 0 and above 1
    keras.Model(z, image).save(run / "generator.keras")
    method = replace(PRESETS["classic"], latent=4, latent_distribution="normal")
    configs.save(run, Config("classic", method, 0, "train", 40, train.fingerprint, (16, 16, 1), cache=True), {})
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


def test_faces_that_the_discriminator_has_chosen_are_measured_apart_from_all(place, evaluated, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(place / "run", run)
    before = (run / "evaluation.json").read_text()
    command = ("--run", run, "--shards", place / "data", "--metrics", "swd", "--best-of", 4)
    assert "leave --best-of out" in evaluate.is_refused(*command)
    image = keras.Input((16, 16, 1))
    pixels = keras.layers.Flatten()(image)
    keras.Model(image, keras.layers.Dense(1, kernel_initializer="ones")(pixels)).save(run / "discriminator.keras")
    output = evaluate.succeeds(*command, "--neighbours", tmp_path / "pairs.png")
    assert f"20 faces of {run}, each the best of 4 by the discriminator" in output
    report = json.loads((run / "evaluation-best-of-4.json").read_text())
    assert (report["best_of"], report["count"]) == (4, 20)
    assert (run / "evaluation.json").read_text() == before
    assert json.loads(before)["best_of"] == 1
    # Of a discriminator that likes bright faces, brighter ones are measured.
    evaluate.succeeds(*command[:-2], "--neighbours", tmp_path / "all.png", "--out", tmp_path / "all.json")
    chosen, drawn = (np.asarray(Image.open(tmp_path / f"{name}.png")).mean() for name in ("pairs", "all"))
    assert chosen > drawn
    assert report["scores"] != json.loads((tmp_path / "all.json").read_text())["scores"]


def test_a_copied_photo_is_beside_its_original(place):
    space = FeatureSpace("pixels", "0", lambda images: images.reshape(len(images), -1).astype(np.float32))
    photos = find([str(place / "data")]).only({"train"})
    copied = numbered_images(40)[[7, 33, 24, 25]] ^ 1
    grid = pairs(copied, photos, space)
    assert np.array_equal(grid[2:18, 18:34], copied[0] ^ 1)
    assert np.array_equal(grid[22:38, 54:70], copied[3] ^ 1)


def test_swd_alone_needs_no_network_of_attributes(place, tmp_path):
    write_shards(tmp_path / "data", numbered_images(40), (25, 15))
    output = evaluate.succeeds(
        *("--run", place / "run", "--shards", tmp_path / "data", "--metrics", "swd"),
        *("--out", tmp_path / "scores.json"),
    )
    assert "No photos were held out" in output
    assert list(json.loads((tmp_path / "scores.json").read_text())["scores"]) == ["train", "floor"]
    message = evaluate.is_refused("--run", place / "run", "--shards", tmp_path / "data", "--metrics", "kid")
    assert f"python -m training.features --shards {tmp_path / 'data'}" in message


def test_without_the_weights_of_imagenet_their_metrics_are_left_out_and_refused_by_name(place, tmp_path, monkeypatch):
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None)
    efficientnet.load.cache_clear()
    command = ("--run", place / "run", "--shards", place / "data", "--out", tmp_path / "scores.json")
    output = evaluate.succeeds(*command)
    assert "c2st, c2st_24, path_length are not measured" in output
    assert "pip install -r requirements-evaluate.txt" in output
    report = json.loads((tmp_path / "scores.json").read_text())
    assert list(report["scores"]["train"])[-1] == "kid_above_floor"
    assert "path_length" not in report
    for name in ("c2st", "path_length"):
        message = evaluate.is_refused(*command, "--metrics", name)
        assert "pip install -r requirements-evaluate.txt" in message


def test_no_generator_is_chosen_by_what_only_reports(place):
    message = train.is_refused("--shards", place / "data", "--metrics", "c2st")
    assert "'c2st' is none of swd, frechet" in message


def test_other_photos_than_the_runs_are_said_to_be_so(place, tmp_path):
    write_shards(tmp_path / "data", numbered_images(40)[::-1], (40,))
    output = evaluate.succeeds(
        *("--run", place / "run", "--shards", tmp_path / "data", "--metrics", "swd"),
        *("--out", tmp_path / "scores.json"),
    )
    assert "The run was trained on other shards" in output


def test_the_judge_is_another_feature_space(place, evaluated, tmp_path):
    from training.metrics import attributes

    shutil.copytree(place / "data", tmp_path / "data")
    command = ("--run", place / "run", "--shards", tmp_path / "data", "--features", "judge")
    message = evaluate.is_refused(*command, "--out", tmp_path / "scores.json")
    assert f"python -m training.features --judge --shards {tmp_path / 'data'}" in message
    photos = find([str(tmp_path / "data")])
    _, card = attributes.load_network(photos.only({"train"}))
    judge = attributes.network(photos.image_shape, 3)  # with other weights
    card = replace(card, digest=attributes.digest(judge))
    attributes.save(tmp_path / "data/features", judge, card, attributes.JUDGE)
    output = evaluate.succeeds(*command, "--metrics", "frechet", "--out", tmp_path / "scores.json")
    assert f"Feature space judge, {card.digest}" in output
    assert "faces:train is the one column to compare" in output
    scores = json.loads((tmp_path / "scores.json").read_text())["scores"]
    before = json.loads((place / "run/evaluation.json").read_text())["scores"]
    assert scores["train"]["frechet"] != pytest.approx(before["train"]["frechet"], rel=1e-3)
    with pytest.raises(UsageError, match="knows the photos"):
        attributes.load(photos.only({"valid"}), attributes.JUDGE)


def test_every_command_opens_the_feature_space_in_the_folder_that_is_named(place, tmp_path):
    shutil.copytree(place / "data", tmp_path / "data", ignore=shutil.ignore_patterns("features"))
    shutil.copytree(place / "data/features", tmp_path / "kept", ignore=shutil.ignore_patterns("*.npz"))
    named = ("--shards", tmp_path / "data", "--features-dir", tmp_path / "kept")
    evaluate.succeeds("--run", place / "run", *named, "--metrics", "frechet", "--out", tmp_path / "scores.json")
    train.succeeds(*named, *SMALL, "--kimg", 0.01, "--metrics", "frechet", "--out", tmp_path / "run")
    assert len(list((tmp_path / "kept").glob("*.npz"))) == 3  # of train photos, of others of them, of valid photos
    assert not (tmp_path / "data/features").exists()


def test_a_damaged_network_of_attributes_is_one_message(place, tmp_path):
    shutil.copytree(place / "data", tmp_path / "data")
    path = tmp_path / "data/features/attributes.keras"
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content in (whole[:-100], bytes(flipped), b"rubbish"):
        path.write_bytes(content)
        message = evaluate.is_refused("--run", place / "run", "--shards", tmp_path / "data", "--metrics", "frechet")
        assert "cannot be read" in message or "is not the network" in message
        assert "python -m training.features" in message


def test_what_is_wrong_is_said_in_one_message(place, tmp_path):
    data = ("--shards", place / "data")
    assert "is not a run" in evaluate.is_refused("--run", tmp_path, *data)
    assert "'fid' is none of swd, frechet" in evaluate.is_refused("--run", place / "run", *data, "--metrics", "fid")
    assert "is not a folder" in evaluate.is_refused("--run", place / "run", *data, "--out", tmp_path / "no" / "x.json")
    assert "cannot be read" in evaluate.is_refused(
        *("--run", place / "run", *data, "--features", "inception", "--inception", tmp_path / "missing.pb")
    )
    assert "is for --features inception: say both" in evaluate.is_refused(
        *("--run", place / "run", *data, "--inception", tmp_path / "graph.pb")
    )
    write_shards(tmp_path / "small", numbered_images(9, side=8), (9,))
    assert "16x16x1" in evaluate.is_refused("--run", place / "run", "--shards", tmp_path / "small")
