"""Shards of other sizes, colours, ids and labels than CelebA's 64x64 grey."""

import io
import subprocess

import numpy as np
import pytest
from PIL import Image

from preprocess.crop import FILTERS, parse, pixels
from tests.preprocess.archives import encoded

BOX = (25, 57, 153, 185)  # progan's


def colours(kind, size=(178, 218), seed=0):
    levels = np.random.default_rng(seed).integers(0, 256, (size[1] // 2, size[0] // 2, 3), dtype=np.uint8)
    return encoded(Image.fromarray(levels.repeat(2, 0).repeat(2, 1)).resize(size), kind, quality=90)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("filter_name", FILTERS)
@pytest.mark.parametrize("size", [8, 64, 256])
def test_rgb_of_any_size_is_what_the_slow_way_gives(kind, filter_name, size):
    photo = colours(kind)
    crop = parse("progan", filter_name, size, "rgb")
    cut = Image.open(io.BytesIO(photo)).convert("RGB").crop(BOX)
    if filter_name == "box" and size <= 128:
        levels = np.asarray(cut, np.float64).reshape(size, 128 // size, size, 128 // size, 3)
        expected = np.floor(levels.mean((1, 3)) + 0.5).astype(np.uint8).tobytes()
    else:
        expected = cut.resize((size, size), FILTERS[filter_name]).tobytes()
    assert crop.shape == (size, size, 3)
    assert pixels(photo, crop) == expected


def test_grey_is_the_luma_of_rgb_where_nothing_is_clipped():
    photo = colours("PNG")
    for size in (32, 128):
        rgb = np.frombuffer(pixels(photo, parse("progan", None, size, "rgb")), np.uint8).reshape(size, size, 3)
        grey = np.frombuffer(pixels(photo, parse("progan", None, size, "grey")), np.uint8).reshape(size, size)
        assert np.abs(rgb @ [0.299, 0.587, 0.114] - grey).max() < 2


@pytest.fixture(scope="module")
def animals(tmp_path_factory):
    """Photos whose names repeat, and a CSV of labels of somebody's own."""
    root = tmp_path_factory.mktemp("animals")
    for kind, number in ((kind, number) for kind in ("cat", "dog") for number in range(6)):
        path = root / "photos" / kind / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(colours("PNG", (90, 70), seed=100 * len(kind) + number))
    rows = [f"{kind}/{number}.png,{int(kind == 'cat')},{number % 2}" for kind in ("cat", "dog") for number in range(6)]
    (root / "labels.csv").write_text("\n".join(["file,is_cat,is odd", *rows]))
    return root


@pytest.fixture(scope="module")
def made(animals, preprocess, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "data"
    options = ["--ids", "path", "--attributes", animals / "labels.csv", "--crop", "center", "--size", 32]
    options += ["--color", "rgb", "--name", "animals", "--shard-images", 5]
    status, output = preprocess("--source", animals / "photos", "--out", out, *options)
    assert status == 0, output
    return out, output, options


def test_what_was_understood_and_how_much_a_photo_takes_is_reported(made, animals):
    _, output, _ = made
    assert f"2 attributes in {animals / 'labels.csv'}: is_cat, is odd." in output
    assert "3 shards in" in output
    assert "12 train; 0 rejected; 3,072 bytes a photo (32x32x3);" in output


def test_tensorflow_reads_the_pixels_and_the_labels(made, animals):
    import tensorflow as tf

    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "image_id": tf.io.FixedLenFeature([], tf.string),
        "attributes": tf.io.FixedLenFeature([2], tf.int64),
    }
    rows = {}
    for record in tf.data.TFRecordDataset(sorted(map(str, made[0].glob("*.tfrecord")))):
        row = tf.io.parse_single_example(record, features)
        rows[row["image_id"].numpy().decode()] = row["image"].numpy(), row["attributes"].numpy().tolist()
    crop = parse("center", None, 32, "rgb")
    assert rows == {
        f"{kind}/{number}.png": (
            pixels((animals / "photos" / kind / f"{number}.png").read_bytes(), crop),
            [int(kind == "cat"), number % 2],
        )
        for kind in ("cat", "dog")
        for number in range(6)
    }


def test_tfds_knows_it_by_its_name(made):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(made[0])
    assert (builder.info.name, builder.info.features["image"].shape) == ("animals", (32, 32, 3))
    assert {row["image"].shape for row in tfds.as_numpy(builder.as_dataset(split="train"))} == {(32, 32, 3)}


def test_the_same_command_finds_it_up_to_date_and_another_size_is_refused(made, animals, preprocess, contents):
    out, _, options = made
    before = contents(out)
    status, output = preprocess("--source", animals / "photos", "--out", out, *options)
    assert (status, "is up to date" in output) == (0, True)
    for change in (["--size", 64], ["--color", "grey"], ["--name", "beasts"]):
        status, output = preprocess("--source", animals / "photos", "--out", out, *options, *change)
        assert status == 2, output
        assert "other settings or versions (old -> new)" in output
    assert contents(out) == before


def test_verify_and_repair_know_the_settings(made, verify, contents):
    out, *_ = made
    before = contents(out)
    assert verify(out)[0] == 0
    shard = next(out.glob("*.tfrecord"))
    shard.write_bytes(shard.read_bytes()[:-5000] + bytes(5000))
    (out / "features.json").unlink()
    (out / "dataset_info.json").write_text("{}")
    assert verify(out)[0] == 1
    assert verify(out, "--repair")[0] == 0
    assert contents(out) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", 48], "48 is not a power of two from 8 to 2048"),
        (["--size", "big"], "'big' is not a valid integer"),
        (["--color", "cmyk"], "'cmyk' is not one of 'grey', 'rgb'"),
        (["--name", "My Set"], "'My Set' is not a name that tfds takes"),
    ],
)
def test_what_cannot_be_is_one_message(animals, preprocess, tmp_path, options, message):
    status, output = preprocess("--source", animals / "photos", "--out", tmp_path / "out", *options)
    assert status == 2
    assert message in output
    assert not (tmp_path / "out").exists()


def test_a_path_is_the_same_in_a_folder_and_in_the_tar_that_tar_makes_of_it(animals, preprocess, tmp_path):
    subprocess.run(["tar", "-C", animals / "photos", "-cf", tmp_path / "photos.tar", "."], check=True)
    options = ["--ids", "path", "--attributes", animals / "labels.csv", "--crop", "center"]
    for source, out in ((animals / "photos", "folder"), (tmp_path / "photos.tar", "tar")):
        status, output = preprocess("--source", source, "--out", tmp_path / out, *options)
        assert status == 0, output
    names = [path.name for path in (tmp_path / "folder").glob("*.tfrecord")]
    assert names
    for name in names:
        assert (tmp_path / "folder" / name).read_bytes() == (tmp_path / "tar" / name).read_bytes()
