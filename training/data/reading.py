"""The records of shards as tensors, and all of them as arrays; a shard that cannot be read is named."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import tensorflow as tf
from click import ClickException

from system.objects import Url
from training.batch import ImageShape
from training.data.shards import ShardSet, damage, how_to_repair

# Records parsed at once where all of them are read (207,000 images/s on 2 cores against 29,000 one by one).
READ_BATCH = 1_024

# TensorFlow's errors of a record that is damaged, of another kind, or not there. They name no file.
_UNREADABLE = (tf.errors.DataLossError, tf.errors.FailedPreconditionError)
_PERHAPS_UNREADABLE = (
    *_UNREADABLE,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnknownError,
)


@contextmanager
def damage_reported(shards: ShardSet) -> Iterator[None]:
    """Raise ClickException, with the names of damaged and missing shards, where one cannot be read; let others pass."""
    try:
        yield
    except _PERHAPS_UNREADABLE as error:
        if shards.cache and shards.cache.failure:
            raise shards.cache.failure from None
        faults = damage(shards)
        if not faults and not isinstance(error, _UNREADABLE):
            raise
        kind = type(error).__name__
        lines = faults or [f"A record cannot be read ({kind}), but every file has the SHA-256 of its manifest."]
        if folders := sorted({shard.path.parent for shard in shards.shards if isinstance(shard.path, Path)}):
            repairs = "; ".join(map(how_to_repair, folders))
            lines.append(f"Copy such shards again, or make them again from the photos: {repairs}")
        raise ClickException("\n".join([*lines, "Then give the same command again."])) from None


@contextmanager
def ending_downloads(shards: ShardSet) -> Iterator[None]:
    """End downloads for an endless data set of these shards when the block ends: they are not read after that."""
    try:
        yield
    finally:
        if shards.cache:
            shards.cache.stop()


def read_images(shards: ShardSet) -> np.ndarray:
    """Return all images in the order of the shards: uint8 [count, height, width, channels]."""
    images = np.empty((shards.count, *shards.image_shape), np.uint8)
    filled = 0
    batches_of_images = _parsed(shards, lambda serialized: images_of(serialized, shards.image_shape))
    with damage_reported(shards):
        for batch in batches_of_images.prefetch(2):
            images[filled : filled + len(batch)] = batch.numpy()
            filled += len(batch)
    return images


def read_ids(shards: ShardSet) -> list[str]:
    """Return the ids of all photos in the order of the shards."""

    def ids(serialized: tf.Tensor) -> tf.Tensor:
        return tf.io.parse_example(serialized, {"image_id": tf.io.FixedLenFeature([], tf.string)})["image_id"]

    with damage_reported(shards):
        return [photo.decode() for batch in _parsed(shards, ids) for photo in batch.numpy()]


def read_attributes(shards: ShardSet, names: Sequence[str]) -> np.ndarray:
    """Return these attributes of all photos in the order of the shards: float32 [shards.count, len(names)], 0 or 1."""
    return np.concatenate(list(attribute_batches(shards, names)))


def attribute_batches(shards: ShardSet, names: Sequence[str]) -> Iterator[np.ndarray]:
    """Yield what `read_attributes` returns in parts: memory does not grow with the number of photos."""
    attributes = attribute_parser(shards, names)
    with damage_reported(shards):
        for batch in _parsed(shards, attributes):
            yield batch.numpy()


@tf.autograph.experimental.do_not_convert
def _parsed(shards: ShardSet, parse: Callable[[tf.Tensor], tf.Tensor]) -> tf.data.Dataset:
    """What `parse` makes of all records, in the order of the shards."""
    on_disk = ShardFiles(shards)
    files = tf.data.Dataset.from_tensor_slices((on_disk.paths, on_disk.counts, tf.zeros_like(on_disk.counts)))
    return on_disk(files).flat_map(partial(on_disk.records, at_once=READ_BATCH)).map(parse)


class ShardFiles:
    """Shards as files. Those at URLs are fetched into the cache, some ahead, and held there until they have been read.

    What a data set that is given up had open is held as long as the process: TensorFlow keeps functions that long.
    """

    def __init__(self, shards: ShardSet):
        paths = [os.fsencode(str(shard.path)) for shard in shards.shards]  # which need not be UTF-8
        self.paths, self.counts = tf.constant(paths), tf.constant([shard.count for shard in shards.shards], tf.int64)
        self._at_urls = {
            path: (shard.path, shard.sha256, shard.manifest.entries[shard.path.name]["bytes"])
            for path, shard in zip(paths, shards.shards, strict=True)
            if isinstance(shard.path, Url)
        }
        self._cache = shards.cache
        self._held = defaultdict[bytes, list[IO[bytes]]](list)

    def __call__(self, shards: tf.data.Dataset) -> tf.data.Dataset:
        """Path or URL, count, and how many records of these are left out -> the same, with paths alone."""

        def fetched(path: tf.Tensor, count: tf.Tensor, begun: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            file = tf.numpy_function(self._fetch, [path, count - begun], tf.string)
            return tf.ensure_shape(file, []), count, begun

        return shards.map(fetched, num_parallel_calls=2, deterministic=True).prefetch(2) if self._at_urls else shards

    def records(self, path: tf.Tensor, count: tf.Tensor, begun: tf.Tensor, at_once: int) -> tf.data.Dataset:
        """The serialized records of one shard but for the first `begun`, `at_once` in an element but for the last."""
        records = tf.data.TFRecordDataset(path, buffer_size=1 << 20).skip(begun).take(count - begun)
        # A file that was cut short between two records ends without an error.
        records = records.apply(tf.data.experimental.assert_cardinality(count - begun)).batch(at_once)
        if not self._at_urls:
            return records
        end = tf.data.Dataset.from_tensors([path])
        return records.concatenate(end.filter(lambda read: tf.numpy_function(self._release, [read[0]], tf.bool)))

    def _fetch(self, path: bytes, count: int) -> bytes:
        if not (self._cache and count and path in self._at_urls):
            return path
        try:
            file = self._cache.hold(*self._at_urls[path])
        except Exception as error:
            self._cache.failure = error
            raise
        local = os.fsencode(file.name)
        self._held[local].append(file)
        return local

    def _release(self, path: bytes) -> bool:
        if files := self._held[path]:
            files.pop().close()
        return False  # to `filter`: no record


def images_of(serialized: tf.Tensor, image_shape: ImageShape) -> tf.Tensor:
    """Return the images of serialized records: uint8 [records, height, width, channels]."""
    parsed = tf.io.parse_example(serialized, {"image": tf.io.FixedLenFeature([], tf.string)})
    return tf.reshape(tf.io.decode_raw(parsed["image"], tf.uint8), [-1, *image_shape])


def attribute_parser(shards: ShardSet, names: Sequence[str]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return serialized records -> these attributes, float32 [records, len(names)], 0 or 1."""
    listed = shards.attribute_names
    columns = [listed.index(name) for name in names]
    feature = {"attributes": tf.io.FixedLenFeature([len(listed)], tf.int64)}

    def parse(serialized: tf.Tensor) -> tf.Tensor:
        answers = tf.io.parse_example(serialized, feature)["attributes"]
        return tf.cast(tf.gather(answers, columns, axis=1), tf.float32)

    return parse
