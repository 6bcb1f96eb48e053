"""Shards to an endless `tf.data` stream of global batches: images, and the labels that a run is conditioned on.

The order of photos is a pure function of (seed, epoch), and the stream can begin at any step. Every epoch has each
photo at most once; the remainder that does not fill a batch is dropped, a different one each epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from training.batch import Batch
from training.data.interleave import rest_after
from training.data.reading import ShardFiles, attribute_parser, images_of, read_attributes, read_images
from training.data.shards import ShardSet

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
    on_disk = ShardFiles(shards)
    paths, counts = on_disk.paths, on_disk.counts
    chunk = max(min(SHUFFLE_BYTES // shards.image_bytes, shards.count) // batch_size, 1) * batch_size
    block = max(chunk // BLOCKS, 1)
    attributes = attribute_parser(shards, conditions) if conditions else None

    def parse(serialized: tf.Tensor) -> Batch:
        labels = _as_labels(attributes(serialized)) if attributes else None
        return Batch(images_of(serialized, shards.image_shape), labels)

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


def _as_labels(attributes: np.ndarray | tf.Tensor) -> np.ndarray | tf.Tensor:
    """0 and 1 to the -1 and 1 of labels: where all attributes are 0, a projection of them would be 0 too."""
    return 2.0 * attributes - 1.0


def _permutation(count: tf.Tensor | int, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.stateless_shuffle(tf.range(count), seed)


def _seed(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    return tf.random.fold_in(tf.random.fold_in(tf.zeros(2, tf.int32), seed), epoch)
