"""One shard, made where the test can look on."""

import hashlib
from dataclasses import replace

import click
import pytest

from preprocess.crop import parse, pixels
from preprocess.plan import ShardSpec
from preprocess.shard import Folder, Photo, Task, write_shard
from preprocess.sources import open_source
from preprocess.tfrecord import encode_example, frame_record

SPEC = ShardSpec("train", 0, 1)


@pytest.fixture
def task(photos, tmp_path) -> Task:
    source = open_source([photos.zip])
    places = source.list().photos
    listed = [Photo(i, places[i], bytes(photos.rows[i])) for i in photos.rows]
    return Task(SPEC, listed, source, parse("wae"), Folder(tmp_path), may_reject_all=True)


def test_a_shard_holds_its_photos_in_their_order(task, photos, tmp_path):
    shard = write_shard(task)
    data = (tmp_path / SPEC.name).read_bytes()
    assert data == b"".join(
        frame_record(
            encode_example(pixels((photos.folder / photo_id).read_bytes(), parse("wae")), photo_id, bytes(row))
        )
        for photo_id, row in photos.rows.items()
    )
    assert (shard.name, shard.split, shard.count, shard.rejected) == (SPEC.name, "train", len(photos.rows), ())
    assert (shard.bytes, shard.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_photo_that_cannot_be_used_leaves_it_one_shorter_and_is_named(task, photos, tmp_path):
    whole = write_shard(task)
    bad = task.photos[3]
    *place, crc = bad.location
    shard = write_shard(replace(task, photos=[*task.photos[:3], bad._replace(location=(*place, crc ^ 1))]))
    assert (shard.count, whole.count) == (3, 40)
    assert shard.rejected == ((bad.id, "damaged in the zip"),)


def test_what_was_made_is_known_to_the_next_run(task, tmp_path):
    assert task.unfinished.finished([SPEC.name]) == {}
    shard = write_shard(task)
    assert task.unfinished.finished([SPEC.name]) == {SPEC.name: shard}
    (tmp_path / SPEC.name).write_bytes(b"cut off")
    assert task.unfinished.finished([SPEC.name]) == {}
    (tmp_path / SPEC.name).unlink()
    assert task.unfinished.finished([SPEC.name]) == {}


def rejecting(task, count):
    """A task of so many damaged photos."""
    *place, crc = task.photos[0].location
    bad = task.photos[0]._replace(location=(*place, crc ^ 1))
    return replace(task, photos=[bad] * count, may_reject_all=False)


def test_a_source_of_which_nothing_can_be_used_is_given_up_after_256_photos(task, tmp_path):
    with pytest.raises(
        click.ClickException,
        match=f"The first 256 photos of a shard cannot be used, such as {task.photos[0].id}: damaged",
    ):
        write_shard(rejecting(task, 300))
    assert list(tmp_path.iterdir()) == []
    assert write_shard(rejecting(task, 255)).count == 0


def test_a_source_is_not_given_up_once_a_photo_was_used(task):
    bad = rejecting(task, 300)
    assert write_shard(replace(bad, photos=[task.photos[0], *bad.photos])).count == 1
