"""Learning the feature space as a user does, on shards that stage 1 made of drawn faces."""

import json
import shutil

import keras
import numpy as np
import pytest
from click import UsageError

from preprocess.run import main as preprocess
from tests.command import Command
from tests.documents import DRAWN_FACES
from tests.training.shards_by_tensorflow import write_shards
from training.data.reading import read_attributes, read_images
from training.data.shards import find
from training.features import main
from training.metrics import attributes
from training.metrics.space import features_of_photos

learn = Command(main)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Shards of 100 drawn faces of 16x16 with attributes: 80 train, 10 valid, 10 test."""
    data = tmp_path_factory.mktemp("drawn") / "data"
    Command(preprocess).succeeds(
        "--source", DRAWN_FACES / "drawn_faces.zip", "--out", data, "--workers", 1, "--limit", 100, "--size", 16,
        "--attributes", "auto", "--partitions", "auto",
    )  # fmt: skip
    return data


@pytest.fixture(scope="module")
def learnt(drawn):
    return drawn, learn.succeeds("--shards", drawn, "--kimg", 0.4)


def test_it_learns_and_says_how_well(learnt):
    place, output = learnt
    card = json.loads((place / "features/attributes.json").read_text())
    assert "40 attributes of 80 photos" in output
    reports = [line.partition(":")[0] for line in output.splitlines() if " of 10: loss" in line]
    assert reports == [f"{number} of 10" for number in range(1, 11)]
    assert f"Accuracy {card['accuracy']:.1%} on the 10 valid photos" in output
    assert f"majority-class baseline {card['commonest']:.1%}" in output
    assert len(card["accuracies"]) == 40
    assert card["shift"] == 0
    assert not any(isinstance(layer, keras.layers.RandomTranslation) for layer in whole_network(place).layers)
    assert card["accuracy"] == pytest.approx(np.mean(card["accuracies"]), abs=1e-3)


def whole_network(place):
    return keras.saving.load_model(place / "features/attributes.keras", compile=False)


def test_a_mirrored_photo_has_the_logits_of_the_photo(learnt):
    place, _ = learnt
    network, images = whole_network(place), read_images(find([str(place)]))
    mirrored = np.flip(images, axis=2)
    np.testing.assert_allclose(attributes.logits(network, images), attributes.logits(network, mirrored), atol=1e-4)
    alone = network(images, training=False).numpy()
    assert np.abs(attributes.logits(network, images) - alone).max() > 0.01  # the network itself tells them apart


def test_the_accuracy_is_that_of_the_network_on_the_held_out_photos(learnt):
    place, _ = learnt
    shards = find([str(place)])
    _, card = attributes.load_network(shards)
    labels = {split: read_attributes(shards.only({split}), shards.attribute_names) for split in ("train", "valid")}
    assert set(np.unique(labels["valid"])) == {0, 1}
    answers = whole_network(place)(read_images(shards.only({"valid"})), training=False).numpy() > 0
    assert card.accuracy == pytest.approx((answers == labels["valid"]).mean())
    commoner = labels["train"].mean(axis=0) > 0.5
    assert card.commonest == pytest.approx((commoner == labels["valid"]).mean())


def test_features_are_the_penultimate_layer_and_the_same_after_loading(learnt):
    place, _ = learnt
    shards = find([str(place)])
    space = attributes.load(shards)
    images = np.random.default_rng(0).integers(0, 256, (5, *shards.image_shape), dtype=np.uint8)
    features = space.features(images)
    assert features.shape == (5, attributes.WIDTH)
    assert np.array_equal(features, attributes.load(shards).features(images))
    np.testing.assert_allclose(features[2:3], space.features(images[2:3]), rtol=1e-4, atol=1e-5)
    network = whole_network(place)
    kernel, bias = network.layers[-1].get_weights()
    np.testing.assert_allclose(features @ kernel + bias, network(images, training=False), rtol=1e-3, atol=1e-4)


def test_the_same_seed_learns_the_same_weights(learnt):
    shards = find([str(learnt[0])])
    train, valid = shards.only({"train"}), shards.only({"valid"})
    _, card = attributes.train(train, valid, "valid", 0.4, 0, lambda line: None)
    assert card.digest == attributes.load_network(shards)[1].digest


@pytest.fixture
def read_only(tmp_path):
    """Shards of train photos in a folder that takes no folder of features, as those of a read-only disk."""
    rng = np.random.default_rng(0)
    answers = {name: rng.integers(0, 2, 20) for name in ("Bright", "Sky")}
    write_shards(tmp_path / "data", rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8), (20,), attributes=answers)
    (tmp_path / "data/features").write_text("a file in the way")
    return tmp_path / "data"


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_learnt(read_only):
    message = learn.is_refused("--shards", read_only, "--kimg", 0.2)
    assert f"{read_only / 'features'} cannot be written" in message
    assert "--out" in message
    assert "of 10: loss" not in message


def test_features_are_kept_in_the_folder_that_is_named_and_without_held_out_photos_it_says_so(read_only, tmp_path):
    place = tmp_path / "my networks" / "64"
    shards = find([str(read_only)], place)
    with pytest.raises(UsageError, match=rf"training\.features --shards {read_only} --out '{place}'"):
        attributes.load(shards)
    output = learn.succeeds("--shards", read_only, "--kimg", 0.1, "--out", place)
    assert f"--features-dir '{place}'" in output
    assert "no valid and no test photos" in output
    _, card = attributes.load_network(shards)
    assert (card.kimg, card.checked_on) == (0.1, "train")
    features_of_photos(shards, np.arange(5), attributes.load(shards))
    assert sorted(path.suffix for path in place.iterdir()) == [".json", ".keras", ".npz"]


def test_a_judge_without_held_out_photos_is_refused_with_the_option_that_holds_some_out(read_only):
    message = learn.is_refused("--shards", read_only, "--judge")
    assert "No test or valid shards" in message
    assert "--partitions" in message


def test_shards_without_attributes_are_refused_with_the_command_that_makes_them(shard_folder):
    message = learn.is_refused("--shards", shard_folder)
    assert "have no attributes" in message
    assert "--attributes list_attr_celeba.txt (or labels.csv, or folders)" in " ".join(message.split())
    assert not (shard_folder / "features").exists()


@pytest.mark.parametrize("part", ["source", "crop", "image_shape"])
def test_a_network_of_other_photos_is_refused_with_the_command_that_learns_it_anew(learnt, tmp_path, part):
    """Learned on drawn faces it would lie beside the shards of CelebA, and measure in a space of drawn faces."""
    shutil.copytree(learnt[0], tmp_path / "data")
    path = tmp_path / "data" / "manifest.json"
    manifest = json.loads(path.read_text())
    if part == "source":
        manifest["source"]["fingerprint"] = "of other photos"
    elif part == "crop":
        manifest["settings"]["crop"]["name"] = "center"
    path.write_text(json.dumps(manifest))
    card = tmp_path / "data" / "features" / "attributes.json"
    if part == "image_shape":
        card.write_text(json.dumps(json.loads(card.read_text()) | {"image_shape": [32, 32, 1]}))
    with pytest.raises(UsageError, match=rf"another {part}.*python -m training\.features --shards {tmp_path / 'data'}"):
        attributes.load(find([str(tmp_path / "data")]))


def test_a_network_that_is_not_the_one_of_its_card_is_refused(learnt, tmp_path):
    shutil.copytree(learnt[0], tmp_path / "data")
    path = tmp_path / "data" / "features" / "attributes.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"digest": "of another"}))
    with pytest.raises(
        UsageError, match=r"attributes\.keras is not the network that attributes\.json beside it describes"
    ):
        attributes.load(find([str(tmp_path / "data")]))
