"""Any bytes give a result or the error that is documented: no traceback, no hang, no memory without bound."""

import io
import math
import os
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from preprocess.annotations import read_attributes, read_partitions
from preprocess.crop import UnusablePhoto, parse, pixels
from preprocess.sources import open_source, zip_photos
from preprocess.tfrecord import encode_example, first_damage, frame_record
from tests.preprocess.archives import chunk, encoded, tarred, zipped

fuzz = settings(deadline=None, max_examples=300, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def mutations(*wholes: bytes) -> st.SearchStrategy[bytes]:
    """One of these with some of its bytes replaced, removed, added, or its end cut off."""

    @st.composite
    def mutated(draw) -> bytes:
        data = draw(st.sampled_from(wholes))
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, len(data)))
            removed = draw(st.sampled_from([0, 0, 1, 1, 2, 4, 8, len(data)]))
            added = draw(st.binary(max_size=8) | st.sampled_from([b"\xff" * 4, b"\xff" * 8, bytes(8)]))
            data = data[:at] + added + data[at + removed :]
        return data

    return mutated()


@contextmanager
def little_memory(limit: int = 32 << 20) -> Iterator[None]:
    """Fail where the block takes more than `limit` bytes at one time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


SHARD = b"".join(frame_record(encode_example(bytes([n]) * 30, f"{n}.jpg", bytes([n % 2, 1]))) for n in range(4))


@fuzz
@given(st.binary(max_size=300) | mutations(SHARD))
def test_any_bytes_are_whole_records_or_damage_is_named(data):
    damage = first_damage(io.BytesIO(data))
    assert (damage is None) == (frames_of(data) is not None)


def frames_of(data: bytes) -> list[bytes] | None:
    """The records in these bytes, or None where they are not whole."""
    records = []
    while data:
        record = data[12 : 12 + int.from_bytes(data[:8], "little")]
        if data[: len(record) + 16] != frame_record(record):
            return None
        records.append(record)
        data = data[len(record) + 16 :]
    return records


IDS = ["000001.jpg", "000002.jpg", "a b.jpg"]
TXT = b"2\r\nBald Young \r\n000001.jpg -1  1\r\n000002.jpg  1 -1\r\n"
CSV = b"\xef\xbb\xbfimage_id,Bald,Young\n000001.jpg,-1,1\n000002.jpg,1,-1\n"
PARTITIONS = b"000001.jpg 0\n000002.jpg 2\n"
PARTITIONS_CSV = b"image_id,partition\n000001.jpg,0\na b.jpg,1\n"


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Callable[[bytes], Path]:
    """A file that holds these bytes, until the next ones."""
    path = tmp_path_factory.mktemp("fuzz") / "file"

    def holding(data: bytes) -> Path:
        path.write_bytes(data)
        return path

    return holding


def read_or_refused(read, path):
    """What is in a list, or None where it is refused with the line named."""
    try:
        return read(path, IDS)
    except click.UsageError as error:
        assert error.message.startswith(f"{path}, line ")
        return None


numbers = st.integers(1, 5000).map(lambda digits: b"9" * digits + b"\nBald\n")


@fuzz
@given(data=st.binary(max_size=200) | mutations(TXT, CSV) | numbers)
def test_any_attribute_list_is_read_or_its_line_is_named(file, data):
    attributes = read_or_refused(read_attributes, file(data))
    if attributes is None:
        return
    assert attributes.names
    assert set(attributes.rows) <= set(IDS)
    for row in attributes.rows.values():
        assert len(row) == len(attributes.names)
        assert set(row) <= {0, 1}


@fuzz
@given(data=st.binary(max_size=200) | mutations(PARTITIONS, PARTITIONS_CSV))
def test_any_partition_list_is_read_or_its_line_is_named(file, data):
    splits = read_or_refused(read_partitions, file(data))
    if splits is None:
        return
    assert set(splits) <= set(IDS)
    assert set(splits.values()) <= {"train", "valid", "test"}


def resealed(tar: bytes) -> bytes:
    """The same with the right checksum in its first header, so that a reader goes on."""
    blank = tar[:148] + b" " * 8 + tar[156:512]
    return tar[:148] + b"%06o\0 " % sum(blank) + tar[156:] if len(tar) >= 512 else tar


ZIPS = (
    zipped({"a.jpg": b"one", "photos/b.jpg": b"two" * 9}),
    zipped({"a.jpg": b"one" * 50, "photos/b.jpg": bytes(300)}, zipfile.ZIP_DEFLATED),
    zipped({"inner.zip": zipped({"c.jpg": b"three" * 9}, zipfile.ZIP_DEFLATED)}),
)
TARRED = {"photos/a.jpg": b"one", f"{'long' * 30}/b.jpg": b"two" * 200}
LINKS = [("photos/link2.jpg", tarfile.SYMTYPE, "a.jpg"), ("photos/link1.jpg", tarfile.LNKTYPE, "photos/a.jpg")]
TARS = (
    tarred(TARRED, tarfile.USTAR_FORMAT),
    tarred(TARRED, tarfile.GNU_FORMAT, LINKS),
    tarred(TARRED, tarfile.PAX_FORMAT),
)
HELD = ({b"one", b"two" * 9}, {b"one" * 50, bytes(300)}, {b"three" * 9}, *[{b"one", b"two" * 200}] * 3)


def test_the_archives_to_be_damaged_are_whole(file):
    for data, held in zip(ZIPS + TARS, HELD, strict=True):
        source = open_source([file(data)])
        with source.opened() as read:
            assert {read(location) for location in source.list().photos.values()} == held


@fuzz
@given(
    data=st.binary(max_size=200)
    | mutations(*ZIPS)
    | mutations(*TARS)
    | mutations(*TARS).map(resealed)
    | st.binary(max_size=99).map(lambda tail: b"PK\5\6" + tail)
    | st.binary(min_size=512, max_size=600).map(resealed)
)
def test_any_archive_is_listed_and_read_or_refused(file, data):
    path = file(data)
    try:
        source = open_source([path])
        listing = source.list()
    except click.UsageError as error:
        assert str(path) in error.message
        return
    with source.opened() as read:
        for location in listing.photos.values():
            try:
                assert len(read(location)) <= 20_000
            except UnusablePhoto as rejected:
                assert str(rejected)


def test_what_inflates_to_more_than_it_claims_is_damaged_and_takes_no_memory(file):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = deflate.compress(bytes(100 << 20)) + deflate.flush()
    with file(struct.pack("<4s22x2H", b"PK\3\4", 0, 0) + bomb).open("rb") as opened, little_memory():
        pread = partial(os.pread, opened.fileno())
        for claimed in (0, 1, 1000):
            with pytest.raises(ValueError):
                zip_photos.read(pread, 0, len(bomb), claimed, 8, zlib.crc32(bytes(claimed)))


def noise(kind: str, mode: str, **options) -> bytes:
    return encoded(Image.effect_noise((8, 6), 80).convert(mode), kind, **options)


EXIF = Image.Exif()
EXIF[0x0112] = 6
PHOTOS = (
    noise("JPEG", "RGB", exif=EXIF),
    noise("JPEG", "CMYK"),
    noise("JPEG", "L", progressive=True),
    noise("PNG", "RGBA"),
    noise("PNG", "P", transparency=3),
    noise("PNG", "1"),
    noise("WEBP", "RGB"),
    noise("WEBP", "RGBA", lossless=True, exif=EXIF),
)
GREY = tuple(map(parse, ["center", "0,0,4,4", "progan"]))
CROPS = (*GREY, *(parse(crop.name, None, size, "rgb") for crop in GREY for size in (8, 128)))


def png(*header: int) -> bytes:
    """A PNG with whole checksums, whatever its header (width, height, bits, colour, interlace) says."""
    width, height, depth, colour, interlace = header
    lines = zlib.compress(bytes(2000))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, depth, colour, 0, 0, interlace))
        + chunk(b"IDAT", lines)
        + chunk(b"IEND", b"")
    )


sides = st.integers(0, 40) | st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1])
headers = st.tuples(sides, sides, st.sampled_from([0, 1, 2, 4, 8, 16]), st.integers(0, 7), st.integers(0, 1))


@fuzz
@given(
    photo=st.binary(max_size=100) | mutations(*PHOTOS) | headers.map(lambda header: png(*header)),
    crop=st.sampled_from(CROPS),
)
def test_any_photo_is_pixels_or_rejected_with_a_reason(photo, crop):
    try:
        image = pixels(photo, crop)
    except UnusablePhoto as rejected:
        assert str(rejected)
    else:
        assert len(image) == math.prod(crop.shape)
