"""What a manifest leads to expect of each record, against records of every shape, as TensorFlow writes them."""

import errno
import gzip
import hashlib
import json
import os
from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.shard import Shard
from preprocess.tfrecord import read_records
from preprocess.verify import Expected, check_shard, expectations
from tests.preprocess.damage import frames

IMAGE, ATTRIBUTES = 64 * 64, 4


def by_tensorflow(path: Path, photos: list[dict[str, list]]) -> Expected:
    """Write these features as records; return what a manifest would say of the file."""
    import tensorflow as tf

    def feature(values: list):
        if isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    with tf.io.TFRecordWriter(str(path)) as writer:
        for photo in photos:
            features = tf.train.Features(feature={name: feature(values) for name, values in photo.items()})
            writer.write(tf.train.Example(features=features).SerializeToString(deterministic=True))
    data = path.read_bytes()
    shard = Shard(path.name, "train", len(photos), len(data), hashlib.sha256(data).hexdigest(), ())
    return Expected(path.parent, shard, IMAGE, ATTRIBUTES)


NOT_AS_LISTED = "it is not an Example of an image_id, 4 attributes and an image of 4,096 bytes"

GOOD = {"image": [bytes(range(256)) * 16], "image_id": [b"000001.jpg"], "attributes": [0, 1, 1, 0]}


@pytest.mark.parametrize(
    ("photo", "what"),
    [
        ({"image": [bytes(IMAGE - 1)]}, NOT_AS_LISTED),
        ({"image": [bytes(9 * IMAGE)]}, NOT_AS_LISTED),
        ({"attributes": [0, 1, 1]}, NOT_AS_LISTED),
        ({"attributes": None}, NOT_AS_LISTED),
        ({"image_id": [b""]}, "its image_id is empty"),
        ({"image_id": None}, NOT_AS_LISTED),
        ({"image": None}, NOT_AS_LISTED),
        ({"image_id": [b"\xff.jpg"]}, NOT_AS_LISTED),
        ({"image": [7]}, NOT_AS_LISTED),
        ({"image": [bytes(IMAGE), b""]}, NOT_AS_LISTED),
        ({"attributes": [0, 1, 2, 0]}, NOT_AS_LISTED),
        ({"attributes": [0, 1, -1, 0]}, NOT_AS_LISTED),
        ({"label": [1]}, NOT_AS_LISTED),
    ],
)
def test_records_of_another_shape_are_named_though_their_bytes_are_whole(tmp_path, photo, what):
    odd = {name: values for name, values in (GOOD | photo).items() if values is not None}
    expected = by_tensorflow(tmp_path / "a.tfrecord", [GOOD, odd, GOOD])
    (at, length), *_ = frames(tmp_path / "a.tfrecord")[1:]
    found = check_shard(expected)
    assert found.is_as_made
    assert found.faults == [f"record 1 at byte {at}: {what}", "has 2 whole records; the manifest says 3"]
    assert found.ids == [("000001.jpg", 0, 0), ("000001.jpg", 2, at + length + 16)]


def test_what_tensorflow_writes_is_whole(tmp_path):
    found = check_shard(by_tensorflow(tmp_path / "a.tfrecord", [GOOD] * 3))
    assert (found.is_as_made, found.faults, len(found.ids)) == (True, [], 3)
    found = check_shard(by_tensorflow(tmp_path / "empty.tfrecord", []))
    assert found == (True, [], [])


def test_a_compressed_shard_is_not_read_as_records(tmp_path):
    expected = by_tensorflow(tmp_path / "a.tfrecord", [GOOD] * 3)
    data = gzip.compress((tmp_path / "a.tfrecord").read_bytes())
    (tmp_path / "a.tfrecord").write_bytes(data)
    found = check_shard(expected)
    assert not found.is_as_made
    assert found.faults[1] == "record 0 at byte 0: its length is damaged, so what follows cannot be read"


def test_a_shard_that_the_disk_cannot_read_is_said(tmp_path, monkeypatch):
    def failing(file):
        yield from list(read_records(file))[:1]
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    expected = by_tensorflow(tmp_path / "a.tfrecord", [GOOD] * 3)
    monkeypatch.setattr("preprocess.verify.read_records", failing)
    assert check_shard(expected) == (False, ["cannot be read: Input/output error"], [])


def changed(document, path, value):
    """Return the document with something else at a place in it."""
    if not path:
        return value
    key, *rest = path
    inner = changed(document[key], rest, value)
    copy = document.copy()
    copy[key] = inner
    return copy


def places(document, path=()):
    yield path
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        yield from places(value, (*path, key)) if isinstance(value, (dict, list)) else [(*path, key)]


@settings(deadline=None, max_examples=100, derandomize=True)
@given(data=st.data())
def test_a_damaged_manifest_gives_expectations_or_one_sentence(shards, data):
    manifest = json.loads((shards / "manifest.json").read_text())
    path = data.draw(st.sampled_from([path for path in places(manifest) if path]))
    value = data.draw(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.lists(st.integers() | st.text(max_size=3), max_size=3)
        | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
    )
    try:
        expected, documents = expectations(shards, changed(manifest, path, value))
    except click.ClickException as error:
        assert "manifest.json is damaged" in error.message
    else:
        assert set(documents) == {"features.json", "dataset_info.json"}
        assert all(isinstance(it, Expected) for it in expected)
