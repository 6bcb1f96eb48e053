"""An Example on the wire: protobuf, framing, checksum; the bytes that TensorFlow writes, without TensorFlow.

Byte for byte what `tf.io.TFRecordWriter` makes of `Example.SerializeToString(deterministic=True)`. The message is
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto, encoded as
https://protobuf.dev/programming-guides/encoding/ says; the framing is
https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
"""

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO, NamedTuple

import google_crc32c

MAX_RECORD = 16 << 20  # bytes; one that claims more, 4,000 times what a face takes, is not read into the memory

# Tags of length-delimited fields: field number << 3 | 2.
_FIELD_1, _FIELD_2, _FIELD_3 = b"\x0a", b"\x12", b"\x1a"


class Fields(NamedTuple):
    """What an Example is made of; see `encode_example`."""

    image: bytes
    image_id: str
    attributes: bytes | None


class Record(NamedTuple):
    """A record as it stands in a file: the byte at which its frame begins, its data, what is wrong with the frame."""

    offset: int
    data: bytes
    fault: str


def encode_example(image: bytes, image_id: str, attributes: bytes | None) -> bytes:
    """Return a serialized tf.train.Example.

    Args:
        image: raw uint8 pixels, height*width*channels.
        image_id: the photo's file name.
        attributes: one byte, 0 or 1, for each attribute (int64 in the Example); None leaves the feature out.

    """
    name = image_id.encode()
    heads = _heads(None if attributes is None else len(attributes), len(name), len(image))
    return b"".join((heads[0], attributes or b"", heads[1], name, heads[2], image))


def parse_example(record: bytes, image_bytes: int, attribute_count: int | None) -> Fields:
    """Return what `encode_example` made this record of: an image of this size and so many attributes.

    Raises ValueError for bytes that it does not make.
    """
    count, listed = attribute_count or 0, "" if attribute_count is None else f", {attribute_count} attributes"
    unlike = ValueError(f"it is not an Example of an image_id{listed} and an image of {image_bytes:,} bytes")
    room = len(record) - image_bytes - count  # of the name and of the heads, which grow with it
    if image_bytes < 0 or room < 0:
        raise unlike
    name_size = max(0, room - sum(map(len, _heads(attribute_count, room, image_bytes))))  # or some bytes more
    while name_size + sum(map(len, _heads(attribute_count, name_size, image_bytes))) < room:
        name_size += 1
    heads = _heads(attribute_count, name_size, image_bytes)
    start = len(heads[0])
    attributes = None if attribute_count is None else record[start : start + attribute_count]
    start += count + len(heads[1])
    image_id = record[start : start + name_size].decode(errors="replace")
    fields = Fields(record[len(record) - image_bytes :], image_id, attributes)
    if set(attributes or b"") - {0, 1} or encode_example(*fields) != record:
        raise unlike
    return fields


def frame_record(record: bytes) -> bytes:
    """Return `record` as it stands in a TFRecord file: length, its checksum, the record, its checksum."""
    length = struct.pack("<Q", len(record))
    return b"".join((length, masked_crc(length), record, masked_crc(record)))


def read_records(file: BinaryIO) -> Iterator[Record]:
    """Yield every record in `file`, which may hold any bytes, with what is wrong with it.

    Behind a frame that is cut off or whose length cannot be trusted nothing is found: that record is the last.
    """
    offset = 0
    while head := file.read(12):
        if fault := _head_fault(head):
            yield Record(offset, b"", fault)
            return
        length = int.from_bytes(head[:8], "little")
        data, crc = file.read(length), file.read(4)
        if len(crc) < 4:
            yield Record(offset, b"", "it is cut off")
            return
        yield Record(offset, data, "" if masked_crc(data) == crc else "its data is damaged")
        offset += 16 + length


def masked_crc(data: bytes) -> bytes:
    """Return the CRC-32C of `data`, rotated and shifted as TFRecord has it, in 4 little-endian bytes."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _head_fault(head: bytes) -> str:
    if len(head) < 12:
        return "it is cut off"
    if masked_crc(head[:8]) != head[8:]:
        return "its length is damaged, so what follows cannot be read"
    length = int.from_bytes(head[:8], "little")
    return f"it claims {length:,} bytes, more than any photo takes" if length > MAX_RECORD else ""


@lru_cache(maxsize=4096)  # the same ones in every record: found again, they cost a tenth
def _heads(attributes: int | None, name: int, image: int) -> tuple[bytes, bytes, bytes]:
    """Return what stands before attributes, name and image of these lengths: it depends on nothing else."""
    # The keys are in the order of upb, protobuf's default in Python: as sorted, but "image_id" before "image".
    listed = b"" if attributes is None else _feature(b"attributes", _FIELD_3, attributes)  # 0 and 1 are their varints
    named = _feature(b"image_id", _FIELD_1, name)
    pictured = _feature(b"image", _FIELD_1, image)
    before = _field(_FIELD_1, listed + named + pictured).removesuffix(listed + named + pictured)
    return (
        before + listed[: len(listed) - (attributes or 0)],
        named[: len(named) - name],
        pictured[: len(pictured) - image],
    )


def _feature(key: bytes, kind: bytes, length: int) -> bytes:
    """One entry of the map, its values zeros: `kind` is the number of bytes_list (1) or int64_list (3) in a Feature."""
    return _field(_FIELD_1, _field(_FIELD_1, key) + _field(_FIELD_2, _field(kind, _field(_FIELD_1, bytes(length)))))


def _field(tag: bytes, value: bytes) -> bytes:
    length, encoded = len(value), bytearray(tag)
    while length > 0x7F:  # a varint
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded) + value
