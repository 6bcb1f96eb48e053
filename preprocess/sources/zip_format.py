"""A zip as it lies on the disk: its central directory, and one entry read at a known place.

Python's zipfile takes 1.5 s and 130 MB to open an archive of CelebA's 202,599 photos, and reads entries only of an
archive that it has opened; here it is 0.5 s, and workers open nothing. Numbers of sections are those of
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

STORED, DEFLATED = 0, 8  # the methods that can be read, 4.4.5
OTHER_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
_ENCRYPTED = 1 << 0  # a flag, 4.4.4
_IN_EXTRA = 0xFFFFFFFF  # the number is too large for 32 bits and stands in the extra field, 4.5.3

_LOCAL = struct.Struct("<4s22xHH")  # 4.3.7: signature, lengths of name and extra field
_CENTRAL = struct.Struct("<4s4xHH4xLLLHHH8xL")  # 4.3.12: signature, flags, method, CRC-32, sizes, lengths, offset
_END = struct.Struct("<4s8xLLH")  # 4.3.16: signature, size and offset of the directory, length of the comment
_END_64 = struct.Struct("<4s36xQQ")  # 4.3.14: signature, size and offset of the directory
_LOCATOR_64_SIZE = 20  # 4.3.15: stands between the two
_ROOM_FOR_NAMES = 512  # more than any name and extra field seen; where it is not, a second read follows


class Entry(NamedTuple):
    """What the central directory says of a file: where its local header is, how it is stored, what it will be."""

    name: str
    offset: int
    stored_size: int
    size: int
    method: int
    crc: int
    is_encrypted: bool


def entries(descriptor: int, zip_start: int, zip_size: int) -> Iterator[Entry]:
    """Yield the entries of the zip at `zip_start` of the file that `descriptor` has open, `zip_size` bytes long.

    In the order of its central directory; their offsets are those in the file.
    Raises ValueError where this is no zip, or not a whole one.
    """
    size, start, shift = _directory(descriptor, zip_start, zip_size)
    directory = os.pread(descriptor, size, start)
    at = 0
    while at < len(directory):
        try:
            signature, flags, method, crc, stored_size, full_size, name_length, extra_length, comment_length, offset = (
                _CENTRAL.unpack_from(directory, at)
            )
            if signature != b"PK\1\2":
                raise ValueError("its directory is damaged")
            name_end = at + _CENTRAL.size + name_length
            extra_end = name_end + extra_length
            if _IN_EXTRA in (full_size, stored_size, offset):
                full_size, stored_size, offset = _from_extra(
                    directory[name_end:extra_end], (full_size, stored_size, offset)
                )
        except struct.error:
            raise ValueError("its directory is damaged") from None
        name = _decoded(directory[at + _CENTRAL.size : name_end])
        yield Entry(name, offset + shift, stored_size, full_size, method, crc, bool(flags & _ENCRYPTED))
        at = extra_end + comment_length


def read(descriptor: int, offset: int, stored_size: int, size: int, method: int, crc: int) -> bytes:
    """Return the file whose local header is at `offset`. Raises ValueError where it is damaged, OSError by the disk."""
    start, block = _local(descriptor, offset, _ROOM_FOR_NAMES + stored_size)
    stored = block[start : start + stored_size]
    if len(stored) < stored_size:
        stored = os.pread(descriptor, stored_size, offset + start)
    data = stored if method == STORED else _inflated(stored, size)
    if zlib.crc32(data) != crc:
        raise ValueError("its checksum is wrong")
    return data


def data_start(descriptor: int, entry: Entry) -> int:
    """Return where in the file the bytes of `entry` begin. Raises ValueError where there is no such entry."""
    return entry.offset + _local(descriptor, entry.offset, 0)[0]


def _local(descriptor: int, offset: int, more: int) -> tuple[int, bytes]:
    """Return how long the local header at `offset` is, and its bytes with `more` of those that follow."""
    try:
        block = os.pread(descriptor, _LOCAL.size + more, offset)
    except OverflowError:  # no file is as long as 64 bits can say
        raise ValueError("it is cut off") from None
    if len(block) < _LOCAL.size:
        raise ValueError("it is cut off")
    signature, name_length, extra_length = _LOCAL.unpack_from(block)
    if signature != b"PK\3\4":
        raise ValueError("its header is damaged")
    return _LOCAL.size + name_length + extra_length, block


def _decoded(name: bytes) -> str:
    """Return a name as its owner wrote it: most programs write UTF-8, but not all of them set the flag for that."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("cp437")  # D.1


def _inflated(stored: bytes, size: int) -> bytes:
    try:
        # A byte more than it claims is enough to have another checksum, and 0 would mean: no limit.
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, size + 1)
    except zlib.error:
        raise ValueError("its deflated data is damaged") from None


def _directory(descriptor: int, zip_start: int, zip_size: int) -> tuple[int, int, int]:
    """Find the central directory: its size, its start, and by how much all offsets lie further back than they say."""
    tail_size = min(zip_size, _END.size + 0xFFFF + _END_64.size + _LOCATOR_64_SIZE)
    tail_start = zip_start + zip_size - tail_size
    tail = os.pread(descriptor, tail_size, tail_start)
    end = _end(tail)
    _, size, offset, _ = _END.unpack_from(tail, end)
    end_64 = end - _LOCATOR_64_SIZE - _END_64.size
    if end_64 >= 0 and tail[end_64:].startswith(b"PK\6\6"):
        end = end_64
        _, size, offset = _END_64.unpack_from(tail, end)
    start = tail_start + end - size
    if start < zip_start or start < zip_start + offset:
        raise ValueError("its beginning is missing")
    return size, start, start - offset


def _end(tail: bytes) -> int:
    """Find the record that ends a zip. A zip that was cut inside a zip that it holds has one, but not at its end."""
    at = tail.rfind(b"PK\5\6")
    while at >= 0:
        if len(tail) - at >= _END.size and at + _END.size + _END.unpack_from(tail, at)[-1] == len(tail):
            return at
        at = tail.rfind(b"PK\5\6", 0, at)
    raise ValueError("its end is missing")


def _from_extra(extra: bytes, numbers: tuple[int, ...]) -> list[int]:
    """Return `numbers` with each _IN_EXTRA replaced, in their order, by what the extra field has for it."""
    at = 0
    while struct.unpack_from("<H", extra, at) != (1,):
        at += 4 + struct.unpack_from("<2xH", extra, at)[0]
    at += 4
    found = []
    for number in numbers:
        if number == _IN_EXTRA:
            (number,) = struct.unpack_from("<Q", extra, at)
            at += 8
        found.append(number)
    return found
