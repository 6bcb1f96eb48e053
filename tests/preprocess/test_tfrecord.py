"""The bytes of a record, held against TensorFlow's own."""

import io
import struct

import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.tfrecord import encode_example, first_damage, frame_record, masked_crc


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
    ours, theirs = encode_example(image, image_id, attributes), by_tensorflow(image, image_id, attributes)
    assert ours == theirs, f"{ours[:150]} is not {theirs[:150]}"


def test_a_file_of_records_is_what_tensorflow_writes(tmp_path):
    content = [encode_example(bytes([n]) * 4096, f"{n:06}.jpg", bytes([n % 2] * 40)) for n in range(20)] + [b"", b"x"]
    path = tmp_path / "by_tensorflow.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in content:
            writer.write(record)
    assert b"".join(map(frame_record, content)) == path.read_bytes()
    with path.open("rb") as file:
        assert first_damage(file) is None


WHOLE = b"".join(frame_record(encode_example(bytes([n]) * 50, f"{n}.jpg", None)) for n in range(3))
SIZE = len(WHOLE) // 3


def test_the_record_in_which_a_file_is_cut_is_named():
    for length in range(len(WHOLE)):
        number, rest = divmod(length, SIZE)
        expected = f"record {number} at byte {number * SIZE} is cut off" if rest else None
        assert first_damage(io.BytesIO(WHOLE[:length])) == expected


def test_the_first_record_with_a_flipped_bit_is_named():
    for at in range(len(WHOLE)):
        damaged = bytearray(WHOLE)
        damaged[at] ^= 1
        number, place = divmod(at, SIZE)
        record = f"record {number} at byte {number * SIZE}"
        expected = f"the length of {record} is damaged" if place < 12 else f"{record} is damaged"
        assert first_damage(io.BytesIO(damaged)) == expected


def test_a_length_that_no_file_has_is_not_read():
    """With a right checksum, as a hostile file has it."""
    for length in (2**31, 2**64 - 1):
        head = struct.pack("<Q", length)
        assert first_damage(io.BytesIO(WHOLE + head + masked_crc(head))) == f"record 3 at byte {len(WHOLE)} is cut off"
