"""Against TensorFlow's own interleave, over random shards, readers, blocks and places to go on from."""

import numpy as np
import tensorflow as tf

from training.data.interleave import rest_after

CASES = 100


@tf.function(input_signature=[tf.TensorSpec([None], tf.int64)] * 3 + [tf.TensorSpec([], tf.int64)] * 3)
def read(first, count, begun, readers, open_shards, block):
    """The numbers of the records as `training.data.pipeline` reads them: those of a shard begin with `first`."""
    shards = tf.data.Dataset.from_tensor_slices((first, count, begun))

    def of_reader(reader):
        return shards.shard(readers, reader).interleave(
            lambda first, count, begun: tf.data.Dataset.range(first + begun, first + count).batch(block),
            cycle_length=open_shards,
        )

    blocks = tf.data.Dataset.range(readers).interleave(
        of_reader, cycle_length=readers, num_parallel_calls=readers, deterministic=True
    )
    return blocks.rebatch(1 << 20).get_single_element()


def test_what_is_left_is_what_tensorflow_would_have_read_next():
    random = np.random.default_rng(0)
    for case in range(CASES):
        readers, open_shards = random.integers(1, [5, 9])
        counts = random.integers(0, random.choice([3, 10, 100]), random.integers(1, 50))
        counts[0] += 1
        block = random.integers(1, 20)
        first = np.cumsum(counts) - counts
        how = (readers, open_shards, block)
        done = random.integers(counts.sum())
        rest = rest_after(done, counts.tolist(), *how)
        left = read(first[rest.shards], counts[rest.shards], np.array(rest.begun), *how).numpy()[rest.cut :]
        whole = read(first, counts, np.zeros_like(counts), *how).numpy()
        assert np.array_equal(left, whole[done:]), (case, counts.tolist(), how, done)
