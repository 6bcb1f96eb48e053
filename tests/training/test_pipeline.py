import itertools
import os

import numpy as np
import pytest
import tensorflow as tf

from tests.training.shards_by_tensorflow import numbered_images, numbers_of
from training import pipeline
from training.shards import find

BATCH = 8
STEPS_PER_EPOCH = 100 // BATCH


@pytest.fixture
def train(shard_folder):
    return find([str(shard_folder)]).only({"train"})


def take(shards, cache, first_step, steps, seed=0):
    stream = pipeline.batches(shards, BATCH, seed, first_step, cache)
    return [numbers_of(batch) for batch in itertools.islice(stream, steps)]


def test_read_images_gives_the_records_as_they_were_written(train):
    assert np.array_equal(pipeline.read_images(train), numbered_images(100))
    assert np.array_equal(pipeline.read_images(train.first(50)), numbered_images(100)[:50])


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
        batch = next(iter(pipeline.batches(train, BATCH, 0, 0, cache)))
        assert batch.dtype == tf.uint8
        assert np.array_equal(batch, numbered_images(100)[numbers_of(batch)])

    def test_the_order_is_a_function_of_the_seed(self, train, cache):
        assert np.array_equal(take(train, cache, 0, 5), take(train, cache, 0, 5))
        assert not np.array_equal(take(train, cache, 0, 5), take(train, cache, 0, 5, seed=1))

    @pytest.mark.parametrize("first_step", [1, STEPS_PER_EPOCH - 1, STEPS_PER_EPOCH, 2 * STEPS_PER_EPOCH + 5])
    def test_a_stream_can_begin_at_any_step(self, train, cache, first_step):
        from_the_start = take(train, cache, 0, first_step + 4)
        assert np.array_equal(take(train, cache, first_step, 4), from_the_start[first_step:])

    def test_a_limit_holds_in_every_epoch(self, train, cache):
        seen = np.concatenate(take(train.first(50), cache, 0, 30))
        assert set(seen) <= set(range(50))


def test_streaming_mixes_shards_within_a_batch(train):
    shard_of = np.repeat([0, 1, 2], [40, 35, 25])
    mixed = [len(set(shard_of[numbers])) for numbers in take(train, False, 0, STEPS_PER_EPOCH)]
    assert np.mean(mixed) > 2


def test_a_flipped_bit_is_noticed(train):
    path = train.shards[0].path
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(tf.errors.DataLossError):
        take(train, False, 0, STEPS_PER_EPOCH)


def test_available_memory_is_that_of_this_machine():
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0.001 * total < pipeline.available_memory() <= total
