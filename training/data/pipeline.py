"""Shards to an endless `tf.data` stream of global batches: images, and the labels that a run is conditioned on.

The order of photos is a pure function of (seed, epoch), and the stream can begin at any step. Every epoch has each
photo at most once; the remainder that does not fill a batch is dropped, a different one each epoch.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import tensorflow as tf
from click import ClickException

from system.objects import Url
from training.batch import Batch
from training.data.interleave import rest_after
from training.data.shards import Shard, ShardSet, damage, how_to_repair

# Streaming: this many bytes of images (16,384 of 64x64 grey) are shuffled at a time. They come from this many shards at
# once in blocks, this many blocks a chunk. Records are parsed by the block before they are shuffled: moved about as
# strings and parsed by the batch of 64, an image took 18 us of CPU time in place of 8.
SHUFFLE_BYTES = 64 << 20
OPEN_SHARDS = 16
BLOCKS = 64

# Threads that read. One for each open shard would keep blocks of all of them waiting, 240 MB; one alone brings 150,000
# images/s where two bring 165,000.
READERS = 2

# Threads of a data set that also downloads, up to 4 shards at a time.
THREADS = 16

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


@tf.autograph.experimental.do_not_convert  # no Python control flow in here; saves 1 s of CPU time when a run starts
def batches(
    shards: ShardSet, batch_size: int, seed: int, first_step: int, cache: bool, conditions: Sequence[str] = ()
) -> tf.data.Dataset:
    """Return an endless dataset of global batches from step `first_step` on, each a `Batch`.

    An epoch has shards.count // batch_size steps. With `cache` the decoded photos are kept in memory (read once, now)
    instead of streaming the files every epoch. `conditions` are the attributes that the labels are.
    """
    make = _from_memory if cache else _from_files
    stream = make(shards, batch_size, seed, first_step, conditions).prefetch(tf.data.AUTOTUNE)
    if shards.cache and not cache:
        # A download that waits must not keep a thread from the training step: TensorFlow has as many as cores.
        options = tf.data.Options()
        options.threading.private_threadpool_size = THREADS
        stream = stream.with_options(options)
    return stream


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
    batches_of_images = _parsed(shards, lambda serialized: _images(serialized, shards.image_shape))
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
    attributes = _parser_of_attributes(shards, names)
    with damage_reported(shards):
        for batch in _parsed(shards, attributes):
            yield batch.numpy()


@tf.autograph.experimental.do_not_convert
def _parsed(shards: ShardSet, parse: Callable[[tf.Tensor], tf.Tensor]) -> tf.data.Dataset:
    """What `parse` makes of all records, in the order of the shards."""
    on_disk = _OnDisk(shards)
    paths, counts = _paths_and_counts(shards.shards)
    files = tf.data.Dataset.from_tensor_slices((paths, counts, tf.zeros_like(counts)))
    return on_disk(files).flat_map(partial(on_disk.records, at_once=READ_BATCH)).map(parse)


def _from_memory(
    shards: ShardSet, batch_size: int, seed: int, first_step: int, conditions: Sequence[str]
) -> tf.data.Dataset:
    with tf.device("CPU"):  # the default would put the whole data set on the first GPU
        images = tf.constant(read_images(shards))
        labels = tf.constant(_as_labels(read_attributes(shards, conditions))) if conditions else None
    photos = Batch(images, labels)
    steps_per_epoch = shards.count // batch_size

    def batch_of(step: tf.Tensor) -> Batch:
        epoch, place = step // steps_per_epoch, step % steps_per_epoch
        indices = tf.random.experimental.index_shuffle(
            place * batch_size + tf.range(batch_size, dtype=tf.int64),
            _seed(seed, epoch),
            tf.constant(shards.count - 1, tf.int64),
        )
        return photos.map(lambda rows: tf.ensure_shape(tf.gather(rows, indices), (batch_size, *rows.shape[1:])))

    return tf.data.Dataset.range(first_step, tf.int64.max).map(batch_of, num_parallel_calls=2, deterministic=True)


class _Start(NamedTuple):
    """Where an epoch begins: at its first photo, or at the chunk where a run was interrupted."""

    epoch: tf.Tensor
    shards: tf.Tensor  # numbers of the shards that are read, in order
    begun: tf.Tensor  # records that are left out at the beginning of each
    cut: tf.Tensor  # records that are left out besides, of the first block
    chunk: tf.Tensor  # number of the first chunk


def _from_files(
    shards: ShardSet, batch_size: int, seed: int, first_step: int, conditions: Sequence[str]
) -> tf.data.Dataset:
    paths, counts = _paths_and_counts(shards.shards)
    chunk = max(min(SHUFFLE_BYTES // shards.image_bytes, shards.count) // batch_size, 1) * batch_size
    block = max(chunk // BLOCKS, 1)
    attributes = _parser_of_attributes(shards, conditions) if conditions else None
    on_disk = _OnDisk(shards)

    def parse(serialized: tf.Tensor) -> Batch:
        labels = _as_labels(attributes(serialized)) if attributes else None
        return Batch(_images(serialized, shards.image_shape), labels)

    def whole_epoch(epoch: tf.Tensor) -> _Start:
        order = _permutation(len(paths), _seed(seed, epoch))
        return _Start(epoch, order, tf.zeros(len(paths), tf.int64), tf.constant(0), tf.constant(0, tf.int64))

    def batches_from(start: _Start) -> tf.data.Dataset:
        epoch_seed = _seed(seed, start.epoch)

        def shuffled(number: tf.Tensor, photos: Batch) -> tf.data.Dataset:
            count = tf.shape(photos.images)[0]
            order = _permutation(count, tf.random.fold_in(epoch_seed, start.chunk + number))
            whole = count // batch_size

            def in_batches(values: tf.Tensor) -> tf.Tensor:
                shape = (whole, batch_size, *values.shape[1:])
                return tf.reshape(tf.gather(values, order)[: whole * batch_size], shape)

            return tf.data.Dataset.from_tensor_slices(photos.map(in_batches))

        opened = (tf.gather(paths, start.shards), tf.gather(counts, start.shards), start.begun)
        files = tf.data.Dataset.from_tensor_slices(opened)

        def read(reader: tf.Tensor) -> tf.data.Dataset:
            blocks = on_disk(files.shard(READERS, reader)).interleave(
                partial(on_disk.records, at_once=block), cycle_length=OPEN_SHARDS // READERS
            )
            return blocks.map(parse)

        def cut(number: tf.Tensor, photos: Batch) -> Batch:
            return photos.map(lambda rows: rows[tf.where(number == 0, start.cut, 0) :])

        photos = tf.data.Dataset.range(READERS).interleave(
            read, cycle_length=READERS, num_parallel_calls=READERS, deterministic=True
        )
        return photos.enumerate().map(cut).rebatch(chunk).enumerate().flat_map(shuffled)

    # The first epoch begins with the chunk of its step: no more than that one is read again.
    first_epoch, step = divmod(first_step, shards.count // batch_size)
    first_chunk, skipped = divmod(step, chunk // batch_size)
    start = whole_epoch(tf.constant(first_epoch, tf.int64))
    ordered = tf.gather(counts, start.shards).numpy().tolist()
    rest = rest_after(first_chunk * chunk, ordered, READERS, OPEN_SHARDS // READERS, block)
    start = start._replace(
        shards=tf.gather(start.shards, rest.shards),
        begun=tf.constant(rest.begun, tf.int64),
        cut=tf.constant(rest.cut),
        chunk=tf.constant(first_chunk, tf.int64),
    )
    later = tf.data.Dataset.range(first_epoch + 1, tf.int64.max).map(whole_epoch)
    return tf.data.Dataset.from_tensors(start).concatenate(later).flat_map(batches_from).skip(skipped)


def _paths_and_counts(shards: tuple[Shard, ...]) -> tuple[tf.Tensor, tf.Tensor]:
    paths = [os.fsencode(str(shard.path)) for shard in shards]  # which need not be UTF-8
    return tf.constant(paths), tf.constant([shard.count for shard in shards], tf.int64)


class _OnDisk:
    """Shards as files. Those at URLs are fetched into the cache, some ahead, and held there until they have been read.

    What a data set that is given up had open is held as long as the process: TensorFlow keeps functions that long.
    """

    def __init__(self, shards: ShardSet):
        self._at_urls = {
            os.fsencode(str(shard.path)): (shard.path, shard.sha256, shard.manifest.entries[shard.path.name]["bytes"])
            for shard in shards.shards
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


def _images(serialized: tf.Tensor, image_shape: tuple[int, int, int]) -> tf.Tensor:
    parsed = tf.io.parse_example(serialized, {"image": tf.io.FixedLenFeature([], tf.string)})
    return tf.reshape(tf.io.decode_raw(parsed["image"], tf.uint8), [-1, *image_shape])


def _parser_of_attributes(shards: ShardSet, names: Sequence[str]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return serialized records -> these attributes, float32 [records, len(names)], 0 or 1."""
    listed = shards.attribute_names
    columns = [listed.index(name) for name in names]
    feature = {"attributes": tf.io.FixedLenFeature([len(listed)], tf.int64)}

    def parse(serialized: tf.Tensor) -> tf.Tensor:
        answers = tf.io.parse_example(serialized, feature)["attributes"]
        return tf.cast(tf.gather(answers, columns, axis=1), tf.float32)

    return parse


def _as_labels(attributes: np.ndarray | tf.Tensor) -> np.ndarray | tf.Tensor:
    """0 and 1 to the -1 and 1 of labels: where all attributes are 0, a projection of them would be 0 too."""
    return 2.0 * attributes - 1.0


def _permutation(count: tf.Tensor | int, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.stateless_shuffle(tf.range(count), seed)


def _seed(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    return tf.random.fold_in(tf.random.fold_in(tf.zeros(2, tf.int32), seed), epoch)
