"""The photos in a zip, and in zips that lie in it uncompressed, as in Kaggle's archive of CelebA.

`zipfile` lists them, in the parent. Workers read at known offsets: with `zipfile` each would list them all again.
"""

import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from preprocess.sources import photo
from preprocess.sources.photo import Entry, is_picture, is_visible
from preprocess.sources.section import Pread, Section

_OTHER_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
_ENCRYPTED, _UTF8 = 1, 1 << 11  # bits of the flags
_END, _END_SIZE = b"PK\5\6", 22  # the last record of a zip, before its comment: signature, number of the part
_LINES = re.compile("[─-▟]")  # box drawing: real names have none, names in CP949 that are read as CP437 nearly always
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, lengths of name and extra field
_ROOM_FOR_NAMES = 512  # more than any name and extra field seen; a longer one takes a second read


def entries(pread: Pread, size: int) -> Iterator[Entry]:
    """Yield the pictures of a zip of this size. Raises ValueError where it is no whole zip."""
    room = size
    for path, info in _directory(pread, 0, size):
        if is_picture(path):
            yield _entry(path, info)
        elif path.lower().endswith(".zip") and is_visible(path):
            if info.compress_type != ZIP_STORED or info.flag_bits & _ENCRYPTED:
                yield Entry(path, (), str(info.CRC), "a zip that cannot be read in place: unpack what it lies in")
                continue
            room -= info.compress_size
            if room < 0:  # overlapping zips: a small file could seem to hold photos without end
                raise ValueError("its directory is damaged")
            try:
                yield from _entries_inside(pread, path, info)
            except ValueError as error:
                raise ValueError(f"of {path} in it, {error}") from None


def extent(offset: int, stored_size: int, size: int, method: int, crc: int) -> tuple[int, int]:
    """Return size and offset of what `read` reads first, and mostly alone."""
    return _LOCAL_HEADER.size + _ROOM_FOR_NAMES + stored_size, offset


def read(pread: Pread, offset: int, stored_size: int, size: int, method: int, crc: int) -> bytes:
    """Return the photo whose local header is at `offset`. Raises ValueError where damaged, OSError by the disk."""
    start, block = _local_header(pread, offset, _ROOM_FOR_NAMES + stored_size)
    stored = block[start : start + stored_size]
    if len(stored) < stored_size:
        stored = pread(stored_size, offset + start)
    data = stored if method == ZIP_STORED else _inflated(stored, size)
    if zlib.crc32(data) != crc:
        raise ValueError("its checksum is wrong")
    return data


def _directory(pread: Pread, start: int, size: int) -> Iterator[tuple[str, ZipInfo]]:
    """Yield path and description of each file in the zip at `start`; offsets become those in the whole file."""
    section = Section(pread, start, size)
    try:
        archive = ZipFile(section)
    except BadZipFile as error:
        if isinstance(error.__context__, OSError):  # the disk's
            raise error.__context__ from None
        raise ValueError("its directory is missing or damaged") from None
    except (NotImplementedError, UnicodeDecodeError, struct.error):
        raise ValueError("its directory is damaged") from None
    section.seek(-_END_SIZE - len(archive.comment), os.SEEK_END)
    end = section.read(_END_SIZE)
    if not end.startswith(_END):  # zipfile took the end of a zip inside this one, which is cut off behind it
        raise ValueError("its end is missing")
    if end[4:6] not in (b"\0\0", b"\xff\xff"):  # all ones: see the record for large zips, which zipfile has checked
        raise ValueError("it is the last of several parts")
    first = min((info.header_offset for info in archive.infolist()), default=0)
    section.seek(first - _END_SIZE)
    if first and section.read(_END_SIZE).startswith(_END):
        raise ValueError("zips are joined in it, and each needs a --source of its own")
    for info in archive.infolist():
        if info.header_offset < 0:
            raise ValueError("its beginning is missing")
        info.header_offset += start
        yield _path(info), info


def _path(info: ZipInfo) -> str:
    """Return a path as its owner wrote it.

    Most programs write UTF-8, but not all of them set the flag for that; Windows writes CP949 in Korea; some programs
    there write backslashes.
    """
    path = info.orig_filename
    if not path.isascii():
        may_be_korean = _LINES.search(path) and not info.flag_bits & _UTF8
        for encoding in ("utf-8", "cp949") if may_be_korean else ("utf-8",):
            with suppress(UnicodeError):  # the flag was set, or the name is in another encoding
                path = path.encode("cp437").decode(encoding)
                break
    return path.replace("\\", "/")


def _entries_inside(pread: Pread, outer: str, zipped: ZipInfo) -> Iterator[Entry]:
    start = zipped.header_offset + _local_header(pread, zipped.header_offset, 0)[0]
    for path, info in _directory(pread, start, zipped.compress_size):
        if is_picture(f"{outer}/{path}"):
            yield _entry(f"{outer}/{path}", info)


def _entry(path: str, info: ZipInfo) -> Entry:
    location, problem = (info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC), ""
    if info.flag_bits & _ENCRYPTED:
        problem = "encrypted: unpack the zip with its password, and name the folder"
    elif info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        method = _OTHER_METHODS.get(info.compress_type, f"method {info.compress_type}")
        problem = f"compressed with {method}, which cannot be read here: unpack the zip, and name the folder"
    elif max(info.compress_size, info.file_size) > photo.MAX_PHOTO_BYTES:
        problem = photo.TOO_LARGE
    return Entry(path, location, f"{info.file_size} {info.CRC}", problem)


def _local_header(pread: Pread, offset: int, more: int) -> tuple[int, bytes]:
    """Return how long the local header at `offset` is, and its bytes with `more` of those that follow."""
    try:
        block = pread(_LOCAL_HEADER.size + more, offset)
    except OverflowError:  # no file is as long as 64 bits can say
        raise ValueError("it is cut off") from None
    if len(block) < _LOCAL_HEADER.size:
        raise ValueError("it is cut off")
    signature, name_length, extra_length = _LOCAL_HEADER.unpack_from(block)
    if signature != b"PK\3\4":
        raise ValueError("its header is damaged")
    return _LOCAL_HEADER.size + name_length + extra_length, block


def _inflated(stored: bytes, size: int) -> bytes:
    try:
        # A byte more than it claims is enough to have another checksum, and 0 would mean: no limit.
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, size + 1)
    except zlib.error:
        raise ValueError("its deflated data is damaged") from None
