"""The bytes of a record, held against TensorFlow's own."""

import io
import struct

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.tfrecord import (
    MAX_RECORD,
    Fields,
    encode_example,
    frame_record,
    masked_crc,
    parse_example,
    read_records,
)


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


def test_a_file_that_is_cut_anywhere_has_the_whole_records_and_says_so():
    whole = [encode_example(bytes([n]) * 50, f"{n}.jpg", None) for n in range(3)]
    data = b"".join(map(frame_record, whole))
    ends = [sum(len(frame_record(record)) for record in whole[:count]) for count in range(4)]
    for length in range(len(data)):
        found = list(read_records(io.BytesIO(data[:length])))
        complete = max(count for count, end in enumerate(ends) if end <= length)
        assert [record.data for record in found[:complete]] == whole[:complete]
        assert [record.offset for record in found] == ends[: len(found)]
        assert [record.fault for record in found[complete:]] == ["it is cut off"] * (length not in ends)


def test_a_record_that_claims_too_much_is_not_read():
    """A length with a right checksum, as a hostile file has it: 16 MiB at most."""
    for length, fault in (
        (MAX_RECORD, "it is cut off"),
        (MAX_RECORD + 1, "it claims 16,777,217 bytes, more than any photo takes"),
    ):
        head = struct.pack("<Q", length)
        [record] = read_records(io.BytesIO(head + masked_crc(head) + b"x"))
        assert (record.fault, record.data) == (fault, b"")


def test_damage_in_the_data_and_in_the_length_are_told_apart():
    data = bytearray(frame_record(b"one") + frame_record(b"two"))
    data[12] ^= 1
    assert [(record.offset, record.fault) for record in read_records(io.BytesIO(data))] == [
        (0, "its data is damaged"),
        (19, ""),
    ]
    data[19] ^= 1
    assert [record.fault for record in read_records(io.BytesIO(data))] == [
        "its data is damaged",
        "its length is damaged, so what follows cannot be read",
    ]


@pytest.mark.parametrize("attributes", [None, b"", bytes([0, 1] * 20)])
@pytest.mark.parametrize("size", [0, 64, 4_096, 16_200])
def test_an_id_of_any_length_is_found_again(size, attributes):
    """Lengths are varints: around 126 and 16,384 bytes those within those take a byte more, one after the other."""
    count = None if attributes is None else len(attributes)
    for length in (*range(300), 4_000):
        fields = Fields(bytes(size), "x" * length, attributes)
        assert parse_example(encode_example(*fields), size, count) == fields


@pytest.mark.parametrize("size", [-1, 10**12, 10**19])
def test_a_size_that_no_record_has_takes_no_memory(size):
    with pytest.raises(ValueError, match="is not an Example"):
        parse_example(encode_example(bytes(4), "a.jpg", None), size, None)
