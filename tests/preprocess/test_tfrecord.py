"""The bytes of a record, held against TensorFlow's own."""

import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.tfrecord import example, frame


def by_tensorflow(image: bytes, image_id: str, attributes: bytes | None) -> bytes:
    of_bytes = lambda value: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))  # noqa: E731
    features = {"image": of_bytes(image), "image_id": of_bytes(image_id.encode())}
    if attributes is not None:
        features["attributes"] = tf.train.Feature(int64_list=tf.train.Int64List(value=list(attributes)))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


bits = st.lists(st.integers(0, 1), min_size=1, max_size=200).map(bytes)


# Lengths around 2**7 and 2**14 change the size of a varint, in the field or in one that holds it.
@settings(deadline=None)
@given(
    image=st.one_of(st.binary(max_size=300), st.integers(16_100, 16_500).map(bytes), st.just(bytes(4096))),
    image_id=st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    attributes=st.none() | bits,
)
def test_an_example_is_what_tensorflow_serializes(image, image_id, attributes):
    ours, theirs = example(image, image_id, attributes), by_tensorflow(image, image_id, attributes)
    assert ours == theirs, f"{ours[:150]} is not {theirs[:150]}"


def test_a_file_of_records_is_what_tensorflow_writes(tmp_path):
    records = [example(bytes([n]) * 4096, f"{n:06}.jpg", bytes([n % 2] * 40)) for n in range(20)] + [b"", b"x"]
    path = tmp_path / "by_tensorflow.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    assert b"".join(map(frame, records)) == path.read_bytes()
