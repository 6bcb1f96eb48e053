"""An Example on the wire: protobuf, framing, checksum; the bytes that TensorFlow writes, without TensorFlow.

Byte for byte what `tf.io.TFRecordWriter` makes of `Example.SerializeToString(deterministic=True)`. The message is
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto, encoded as
https://protobuf.dev/programming-guides/encoding/ says; the framing is
https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
"""

import struct
from functools import lru_cache
from io import SEEK_END
from typing import BinaryIO

import google_crc32c

# Tags of length-delimited fields: field number << 3 | 2.
_FIELD_1, _FIELD_2, _FIELD_3 = b"\x0a", b"\x12", b"\x1a"


def encode_example(image: bytes, image_id: str, attributes: bytes | None) -> bytes:
    """Return a serialized tf.train.Example.

    Of the attributes each byte, 0 or 1, becomes an int64; None leaves the feature out.
    """
    name = image_id.encode()
    heads = _heads(None if attributes is None else len(attributes), len(name), len(image))
    return b"".join((heads[0], attributes or b"", heads[1], name, heads[2], image))


def frame_record(record: bytes) -> bytes:
    """Return `record` as it stands in a TFRecord file: length, its checksum, the record, its checksum."""
    length = struct.pack("<Q", len(record))
    return b"".join((length, masked_crc(length), record, masked_crc(record)))


def first_damage(file: BinaryIO) -> str | None:
    """Return which record of a file, from 0, does not have its checksums, or None where each has."""
    size = file.seek(0, SEEK_END)
    number = offset = file.seek(0)
    while head := file.read(12):
        record, length = f"record {number} at byte {offset}", int.from_bytes(head[:8], "little")
        if len(head) == 12 and masked_crc(head[:8]) != head[8:]:
            return f"the length of {record} is damaged"
        if len(head) < 12 or offset + 16 + length > size:
            return f"{record} is cut off"
        if masked_crc(file.read(length)) != file.read(4):
            return f"{record} is damaged"
        number, offset = number + 1, offset + 16 + length
    return None


def masked_crc(data: bytes) -> bytes:
    """Return the CRC-32C of `data`, rotated and shifted as TFRecord has it, in 4 little-endian bytes."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


@lru_cache(maxsize=4096)  # they repeat in every record: looked up, they cost a tenth
def _heads(attributes: int | None, name: int, image: int) -> tuple[bytes, bytes, bytes]:
    """Return the bytes before attributes, name and image, which depend on the lengths of these alone."""
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
