import hashlib
import itertools
import os
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click import ClickException

from system.objects import StorageError
from tests.training.damage import flip_a_bit
from tests.training.shards_by_tensorflow import numbered_images, numbers_of, write_shards
from training.data import pipeline, reading
from training.data.cache import IN_USE, ShardCache
from training.data.shards import find

BATCH = 8
STEPS_PER_EPOCH = 100 // BATCH


@pytest.fixture
def train(shard_folder):
    return find([str(shard_folder)]).only({"train"})


def take(shards, cache, first_step, steps, seed=0):
    stream = pipeline.batches(shards, BATCH, seed, first_step, cache)
    return [numbers_of(batch.images) for batch in itertools.islice(stream, steps)]


def test_read_images_gives_the_records_as_they_were_written(train):
    assert np.array_equal(reading.read_images(train), numbered_images(100))
    assert np.array_equal(reading.read_images(train.first(50)), numbered_images(100)[:50])


@pytest.fixture(params=["in memory", "streamed", "streamed in chunks of 24"])
def cache(request, monkeypatch, train):
    if "chunks" in request.param:
        monkeypatch.setattr(pipeline, "SHUFFLE_BYTES", 30 * train.image_bytes)
    return request.param == "in memory"


class TestBatches:
    def test_an_epoch_has_each_photo_at_most_once_in_an_order_of_its_own(self, train, cache):
        batches = take(train, cache, 0, 2 * STEPS_PER_EPOCH)
        first, second = np.concatenate(batches[:STEPS_PER_EPOCH]), np.concatenate(batches[STEPS_PER_EPOCH:])
        assert len(set(first)) == len(set(second)) == STEPS_PER_EPOCH * BATCH
        assert not np.array_equal(first, second)
        assert not np.array_equal(first, np.sort(first))

    def test_the_pixels_are_those_that_were_written(self, train, cache):
        batch = next(iter(pipeline.batches(train, BATCH, 0, 0, cache))).images
        assert batch.dtype == tf.uint8
        assert np.array_equal(batch, numbered_images(100)[numbers_of(batch)])

    def test_the_order_is_a_function_of_the_seed(self, train, cache):
        assert np.array_equal(take(train, cache, 0, 5), take(train, cache, 0, 5))
        assert not np.array_equal(take(train, cache, 0, 5), take(train, cache, 0, 5, seed=1))

    @pytest.mark.parametrize("first_step", [STEPS_PER_EPOCH - 1, STEPS_PER_EPOCH, 2 * STEPS_PER_EPOCH + 5])
    def test_a_stream_can_begin_at_any_step(self, train, cache, first_step):
        from_the_start = take(train, cache, 0, first_step + 4)
        assert np.array_equal(take(train, cache, first_step, 4), from_the_start[first_step:])

    def test_a_limit_holds_in_every_epoch(self, train, cache):
        seen = np.concatenate(take(train.first(50), cache, 0, 30))
        assert set(seen) <= set(range(50))


def test_labels_are_the_attributes_of_their_photos_and_change_no_order(tmp_path, cache):
    """Yes is 1 and no is -1, in the order of the conditions, which is not that of the shards' list."""
    answers = np.random.default_rng(0).integers(0, 2, (3, 100))
    attributes = dict(zip(("Bald", "Male", "Young"), answers, strict=True))
    write_shards(tmp_path / "labelled", numbered_images(100), (40, 35, 25), attributes=attributes)
    shards = find([str(tmp_path / "labelled")])
    stream = pipeline.batches(shards, BATCH, 0, 3, cache, ("Young", "Bald"))
    labelled = list(itertools.islice(stream, 2 * STEPS_PER_EPOCH))
    for batch in labelled:
        assert batch.labels.dtype == tf.float32
        expected = 2 * answers[[2, 0]][:, numbers_of(batch.images)] - 1
        np.testing.assert_array_equal(batch.labels, expected.T)
    plain = take(shards, cache, 3, 2 * STEPS_PER_EPOCH)
    assert np.array_equal([numbers_of(batch.images) for batch in labelled], plain)


COUNT, PER_SHARD, SIDE = 1_200, 30, 8


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """1,200 images in 40 shards: more than are open at once."""
    folder = tmp_path_factory.mktemp("many")
    write_shards(folder, numbered_images(COUNT, SIDE), (PER_SHARD,) * (COUNT // PER_SHARD))
    return find([str(folder)])


def epochs(shards, cache, count):
    """The numbers of the photos of `count` epochs, each in its order."""
    batches = take(shards, cache, 0, count * (COUNT // BATCH))
    return np.concatenate(batches).reshape(count, -1)


def ranks(orders):
    """At which place of each epoch each photo comes: [epoch, photo]."""
    return np.argsort(orders, axis=1)


@pytest.mark.parametrize("cache", [True, False], ids=["in memory", "streamed"])
class TestShuffle:
    """By its statistics, for what random order has: 1,200 photos, shuffled 3 times."""

    def test_every_epoch_is_a_permutation_of_its_own(self, many, cache):
        orders = epochs(many, cache, 3)
        assert all(np.array_equal(np.sort(order), np.arange(COUNT)) for order in orders)
        # Of two random orders: no correlation, but for 1 / sqrt(1200) = 0.03 of chance.
        between = np.corrcoef(np.vstack([ranks(orders), np.arange(COUNT)]))[np.triu_indices(4, 1)]
        assert np.abs(between).max() < 0.12, between

    def test_neighbours_in_a_shard_are_no_neighbours_in_a_batch(self, many, cache):
        for order in epochs(many, cache, 2):
            # A photo of the files comes next to the one before it, or in its batch, as often as by chance.
            steps = np.diff(order)
            assert np.mean(np.abs(steps) == 1) < 0.01  # by chance 2 / 1200
            batch_of = ranks(order[None])[0] // BATCH
            assert np.mean(np.diff(batch_of) == 0) < 0.03  # by chance 7 / 1199


def test_a_chunk_is_shuffled_and_so_are_the_shards_that_it_comes_from(many, monkeypatch):
    """Where memory holds a fifth of the photos: what is read first is another part of the files each epoch."""
    chunk = COUNT // 5
    monkeypatch.setattr(pipeline, "SHUFFLE_BYTES", chunk * many.image_bytes)
    orders = epochs(many, False, 4)
    for order in orders:
        assert np.array_equal(np.sort(order), np.arange(COUNT))
        # In a chunk of 240 by chance 2 / 240; unshuffled 0.5 or more.
        assert np.mean(np.abs(np.diff(order)) == 1) < 0.03
    firsts = [set(order[:chunk] // PER_SHARD) for order in orders]
    # 16 of 40 shards are open at once.
    assert all(pipeline.OPEN_SHARDS <= len(first) < 30 for first in firsts)
    assert len({frozenset(first) for first in firsts}) == 4
    assert not any(first == set(range(pipeline.OPEN_SHARDS)) for first in firsts)
    # Any shard may be read first: 4 epochs of 16 of 40 leave (1 - 0.4)^4 = 0.13 of the shards to none.
    assert len(set().union(*firsts)) > 28


def test_a_stream_that_begins_within_an_epoch_opens_no_shard_that_was_read_to_its_end(many, monkeypatch):
    chunk = COUNT // 6  # its blocks have 3 photos: the second chunk begins within one
    monkeypatch.setattr(pipeline, "SHUFFLE_BYTES", chunk * many.image_bytes)
    whole = take(many, False, 0, COUNT // BATCH)
    for step in (30, 77, 149):
        needed = set(np.concatenate(whole[step - step % (chunk // BATCH) :]) // PER_SHARD)
        others_gone = [
            shard if number in needed else replace(shard, path=Path("gone")) for number, shard in enumerate(many.shards)
        ]
        rest = take(replace(many, shards=tuple(others_gone)), False, step, COUNT // BATCH - step)
        assert np.array_equal(rest, whole[step:])
    assert len(needed) < 20


def cut_between_two_records(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 35 * 34])


def replace_by_another_kind(path):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(35):
            writer.write(b"\x0a\x00")  # an Example without features


@pytest.mark.parametrize("harm", [flip_a_bit, cut_between_two_records, replace_by_another_kind, Path.unlink])
def test_a_shard_that_is_damaged_after_it_was_found_is_named(train, cache, harm):
    harm(train.shards[1].path)
    with pytest.raises(ClickException) as raised, reading.damage_reported(train):
        take(train, cache, 0, STEPS_PER_EPOCH)
    assert [shard.path.name in raised.value.message for shard in train.shards] == [False, True, False]
    assert f"preprocess.verify --repair {train.shards[0].path.parent}" in raised.value.message


def test_errors_that_are_not_of_the_shards_are_not_taken_for_damage(train):
    with pytest.raises(tf.errors.InvalidArgumentError), reading.damage_reported(train):
        raise tf.errors.InvalidArgumentError(None, None, "a bug")
    with pytest.raises(ClickException, match="every file has the SHA-256"), reading.damage_reported(train):
        raise tf.errors.DataLossError(None, None, "a faulty memory")


def test_a_batch_of_all_photos_and_one_of_a_single_photo(train):
    for cache in (True, False):
        stream = pipeline.batches(train, 100, 0, 0, cache)
        for batch in itertools.islice(stream, 2):
            assert sorted(numbers_of(batch.images)) == list(range(100))
        singles = itertools.islice(pipeline.batches(train, 1, 0, 0, cache), 100)
        assert sorted(int(numbers_of(batch.images)[0]) for batch in singles) == list(range(100))


def test_photos_larger_than_what_is_shuffled_at_a_time_are_shuffled_by_the_batch(train, monkeypatch):
    monkeypatch.setattr(pipeline, "SHUFFLE_BYTES", 1)
    seen = np.concatenate(take(train, False, 0, STEPS_PER_EPOCH))
    assert len(set(seen)) == STEPS_PER_EPOCH * BATCH


@pytest.mark.parametrize(("is_cached", "digest"), [(True, "ecb68e245e22"), (False, "9f5811448065")])
def test_the_order_of_a_seed_never_changes(many, is_cached, digest):
    """A run that another version began goes on with the photos that it has not seen; integers alone decide it."""
    order = np.concatenate(take(many, is_cached, 0, 20)).astype("<i4")
    assert hashlib.sha256(order.tobytes()).hexdigest()[:12] == digest


class NotingCache(ShardCache):
    """Notes how many shards are in use."""

    def __init__(self, folder, limit):
        super().__init__(folder, limit)
        self.files, self.most = weakref.WeakSet(), 0

    def hold(self, *shard):
        file = super().hold(*shard)
        self.files.add(file)
        self.most = max(self.most, sum(not file.closed for file in list(self.files)))
        return file


# In a process of its own: conftest.py gives TensorFlow more threads than this.
FIRST_BATCH = """
import sys
from pathlib import Path
import training
import tensorflow as tf
from training.data import pipeline, reading
from training.data.cache import ShardCache
from training.data.shards import find
tf.config.threading.set_inter_op_parallelism_threads(2)
shards = find(["s3://bucket/data"], cache=ShardCache(Path(sys.argv[1]), 10**9))
pipeline.SHUFFLE_BYTES = int(sys.argv[2])
stream = iter(pipeline.batches(shards, 8, 0, 0, cache=False))
with reading.ending_downloads(shards):
    next(stream)
"""


class TestAtUrls:
    """Through the cache the same batches, bit for bit."""

    @pytest.fixture
    def cache_of(self, many, bucket, tmp_path, monkeypatch):
        """A cache in a folder of its own, of as many shards; `many` are in the bucket."""
        bucket.objects |= {f"bucket/data/{path.name}": path.read_bytes() for path in many.shards[0].folder.iterdir()}
        monkeypatch.setattr(pipeline, "SHUFFLE_BYTES", COUNT // 6 * many.image_bytes)
        sizes = [entry["bytes"] for entry in many.shards[0].manifest.entries.values()]
        return lambda count: NotingCache(tmp_path / "cache", count * max(sizes))

    @pytest.fixture
    def expected(self, many, cache_of):
        return take(many, False, 0, 2 * COUNT // BATCH)

    def test_batches_are_the_same_from_a_small_and_a_cold_and_a_warm_cache(self, cache_of, expected, bucket):
        for count, fetched in ((IN_USE, range(60, 81)), (40, range(0, 40)), (40, range(0, 1))):
            before, cache = len(bucket.requests("GET", "train")), cache_of(count)
            shards = find(["s3://bucket/data"], cache=cache)
            assert np.array_equal(take(shards, False, 0, len(expected)), expected)
            assert len(bucket.requests("GET", "train")) - before in fetched
            assert sum(path.stat().st_size for path in cache.folder.glob("*.tfrecord")) <= cache.limit
            assert pipeline.OPEN_SHARDS < cache.most <= IN_USE

    def test_what_has_been_read_is_not_fetched_where_a_run_is_continued(self, cache_of, expected, bucket):
        shards = find(["s3://bucket/data"], cache=cache_of(40))
        for step in (140, 149):
            assert np.array_equal(take(shards, False, step, COUNT // BATCH - step), expected[step : COUNT // BATCH])
        assert len(bucket.requests("GET", "train")) < 30

    def test_photos_can_be_read_into_memory_and_a_part_of_them(self, cache_of, many):
        shards = find(["s3://bucket/data"], cache=cache_of(40))
        assert np.array_equal(reading.read_images(shards.first(100)), numbered_images(COUNT, SIDE)[:100])
        assert np.array_equal(take(shards, True, 5, 3), take(many, True, 5, 3))

    @pytest.mark.parametrize(
        ("harm", "message"),
        [("flip", r"train-00007-of-00040.tfrecord is not what manifest.json says"), ("denied", "do not allow it")],
    )
    def test_a_shard_that_cannot_be_had_is_one_sentence(self, cache_of, bucket, harm, message):
        shards = find(["s3://bucket/data"], cache=cache_of(40))
        bucket.fails(harm, "GET", "train-00007", times=100)
        with pytest.raises(StorageError, match=message), reading.damage_reported(shards):
            take(shards, False, 0, COUNT // BATCH)

    def test_downloads_that_stall_hold_up_neither_what_has_come_nor_the_end(self, expected, bucket, tmp_path):
        first = set(np.concatenate(expected[: COUNT // 6 // BATCH]) // PER_SHARD)  # of which the first chunk is
        bucket.fails("stall", "GET", f"train-000(?!{'|'.join(f'{number:02}' for number in first)})", times=100)
        arguments = [tmp_path / "cache", str(pipeline.SHUFFLE_BYTES)]
        subprocess.run([sys.executable, "-c", FIRST_BATCH, *arguments], check=True, timeout=90)
        assert len(bucket.requests("GET", "train-")) > len(first)

    def test_a_copy_that_is_damaged_while_it_is_used_is_named(self, cache_of, expected):
        shards = find(["s3://bucket/data"], cache=cache_of(40))
        take(shards, False, 0, COUNT // BATCH)
        copy = shards.cache.path(shards.shards[7].sha256)
        modified = copy.stat().st_mtime_ns
        flip_a_bit(copy)
        os.utime(copy, ns=(modified, modified))
        with pytest.raises(ClickException) as raised, reading.damage_reported(shards):
            take(shards, False, 0, COUNT // BATCH)
        assert raised.value.message == (
            f"{shards.shards[7].path} has a damaged copy, {copy}, which the next run replaces\n"
            "Then give the same command again."
        )
        again = find(["s3://bucket/data"], cache=cache_of(40))
        assert np.array_equal(take(again, False, 0, 9), expected[:9])
