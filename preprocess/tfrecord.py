"""An Example on the wire: protobuf, framing, checksum; the bytes that TensorFlow writes, without TensorFlow.

Byte for byte what `tf.io.TFRecordWriter` makes of `Example.SerializeToString(deterministic=True)`. The message is
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto, encoded as
https://protobuf.dev/programming-guides/encoding/ says; the framing is
https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
"""

import struct
from functools import lru_cache

import google_crc32c

# Tags of length-delimited fields: field number << 3 | 2.
_FIELD_1, _FIELD_2, _FIELD_3 = b"\x0a", b"\x12", b"\x1a"


def example(image: bytes, image_id: str, attributes: bytes | None) -> bytes:
    """Return a serialized tf.train.Example.

    Args:
        image: raw uint8 pixels, height*width*channels.
        image_id: the photo's file name.
        attributes: one byte, 0 or 1, for each attribute (int64 in the Example); None leaves the feature out.

    """
    # The keys are in the order of upb, protobuf's default in Python: as sorted, but "image_id" before "image".
    listed = b"" if attributes is None else _feature(b"attributes", _FIELD_3, attributes)  # 0 and 1 are their varints
    name = _feature(b"image_id", _FIELD_1, _field(_FIELD_1, image_id.encode()))
    return _field(_FIELD_1, listed + name + _feature(b"image", _FIELD_1, _field(_FIELD_1, image)))


def frame(record: bytes) -> bytes:
    """Return `record` as it stands in a TFRecord file: length, its checksum, the record, its checksum."""
    length = struct.pack("<Q", len(record))
    return b"".join((length, masked_crc(length), record, masked_crc(record)))


def masked_crc(data: bytes) -> bytes:
    """Return the CRC-32C of `data`, rotated and shifted as TFRecord has it, in 4 little-endian bytes."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _feature(key: bytes, kind: bytes, values: bytes) -> bytes:
    """One entry of the map: `kind` is the number of bytes_list (1) or int64_list (3) in a Feature."""
    feature = _field(kind, _field(_FIELD_1, values) if kind == _FIELD_3 else values)
    return _field(_FIELD_1, _field(_FIELD_1, key) + _field(_FIELD_2, feature))


def _field(tag: bytes, value: bytes) -> bytes:
    return _head(tag, len(value)) + value


@lru_cache(maxsize=4096)  # an Example has 13 heads, the same ones in every record: found again, they cost a tenth
def _head(tag: bytes, length: int) -> bytes:
    encoded = bytearray(tag)
    while length > 0x7F:  # a varint
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)
