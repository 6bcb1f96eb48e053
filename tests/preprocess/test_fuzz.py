"""Any bytes give a result or the error that is documented: no traceback, no hang, no memory without bound."""

import io
import math
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
import google_crc32c
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from preprocess.annotations import read_attributes, read_partitions
from preprocess.crop import UnusablePhoto, parse, pixels
from preprocess.sources import open_source, zip_format
from preprocess.tfrecord import Fields, encode_example, frame_record, parse_example, read_records

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


def sealed(length: int) -> bytes:
    """The head of a frame that claims this length and has the right checksum."""
    head = struct.pack("<Q", length)
    crc = google_crc32c.value(head)
    return head + struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


SHARD = b"".join(frame_record(encode_example(bytes([n]) * 30, f"{n}.jpg", bytes([n % 2, 1]))) for n in range(4))
heads = st.integers(0, 2**64 - 1).map(sealed) | st.sampled_from([2**60, 2**63, 2**31, 20]).map(sealed)


@fuzz
@given(st.binary(max_size=300) | mutations(SHARD) | st.tuples(heads, st.binary(max_size=40)).map(b"".join))
def test_any_bytes_are_records_or_faults(data):
    end = 0
    for record in read_records(io.BytesIO(data)):
        assert record.offset == end
        framed = frame_record(record.data)
        whole = data[end : end + len(framed)] == framed
        assert whole == (not record.fault)
        end += len(framed)
        ended = bool(record.fault) and not record.data
    if not data:
        return
    assert ended or end == len(data)


@pytest.mark.parametrize("length", [2**24 + 1, 2**31, 2**40, 2**60, 2**64 - 1])
def test_a_claimed_length_takes_no_memory(tmp_path, length):
    (tmp_path / "a").write_bytes(frame_record(b"first") + sealed(length) + b"data")
    with (tmp_path / "a").open("rb") as file, little_memory():
        first, second = read_records(file)
    assert first == (0, b"first", "")
    assert second == (21, b"", f"it claims {length:,} bytes, more than any photo takes")


@fuzz
@given(
    st.binary(max_size=200)
    | mutations(encode_example(b"\1\2\3\4", "a.jpg", b"\0\1"), encode_example(bytes(300), "ü", None)),
    st.sampled_from([(4, 2), (300, None), (0, 0), (1, 1)]),
)
def test_any_record_is_an_example_or_a_value_error(record, sizes):
    try:
        fields = parse_example(record, *sizes)
    except ValueError:
        return
    assert encode_example(*fields) == record


bits = st.none() | st.lists(st.integers(0, 1), max_size=300).map(bytes)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@fuzz
@given(st.binary(max_size=300) | st.just(bytes(20_000)), names, bits)
def test_an_example_is_parsed_to_what_it_was_made_of(image, image_id, attributes):
    assert parse_example(
        encode_example(image, image_id, attributes), len(image), None if attributes is None else len(attributes)
    ) == Fields(image, image_id, attributes)


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


def zipped(method: int, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"photos/{name}.jpg", data)
    return file.getvalue()


def zip64(name: bytes, data: bytes) -> bytes:
    """A zip whose numbers all stand where the larger ones do (APPNOTE 4.3.14, 4.5.3)."""
    extra = struct.pack("<HHQQ", 1, 16, len(data), len(data))
    far = struct.pack("<HHQQQ", 1, 24, len(data), len(data), 0)
    crc, none = zlib.crc32(data), 0xFFFFFFFF
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 45, 0, 0, 0, 0, crc, none, none, len(name), len(extra)) + name + extra
    entry = struct.pack(
        "<4s6H3L5H2L", b"PK\1\2", 45, 45, 0, 0, 0, 0, crc, none, none, len(name), len(far), 0, 0, 0, 0, none
    )
    directory = entry + name + far
    start = len(local) + len(data)
    end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(directory), start)
    end += struct.pack("<4sLQL", b"PK\6\7", 0, start + len(directory), 1)
    return local + data + directory + end + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, none, none, 0)


def tarred(form: int, links: bool) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, data in [("photos/a.jpg", b"one"), (f"{'long' * 30}/b.jpg", b"two" * 200)]:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) if links else ():
            member = tarfile.TarInfo(f"photos/link{kind.decode()}.jpg")
            member.type, member.linkname = kind, "a.jpg" if kind == tarfile.SYMTYPE else "photos/a.jpg"
            archive.addfile(member)
    return file.getvalue()


def resealed(tar: bytes) -> bytes:
    """The same with the right checksum in its first header, so that a reader goes on."""
    blank = tar[:148] + b" " * 8 + tar[156:512]
    return tar[:148] + b"%06o\0 " % sum(blank) + tar[156:] if len(tar) >= 512 else tar


ZIPS = (
    zipped(zipfile.ZIP_STORED, a=b"one", b=b"two" * 9),
    zipped(zipfile.ZIP_DEFLATED, a=b"one" * 50, b=bytes(300)),
    zip64(b"far.jpg", b"three"),
    zip64(b"inner.zip", zipped(zipfile.ZIP_DEFLATED, a=b"four")),
)
TARS = (tarred(tarfile.USTAR_FORMAT, False), tarred(tarfile.GNU_FORMAT, True), tarred(tarfile.PAX_FORMAT, False))
HELD = ({b"one", b"two" * 9}, {b"one" * 50, bytes(300)}, {b"three"}, {b"four"}, *[{b"one", b"two" * 200}] * 3)


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
                assert rejected.reason


@fuzz
@given(
    data=mutations(*ZIPS),
    place=st.tuples(
        st.integers(0, 2**64) | st.just(0),
        st.integers(0, 500),
        st.integers(0, 500),
        st.sampled_from([0, 8, 9]),
        st.just(0),
    ),
)
def test_any_place_in_a_zip_is_read_or_a_value_error(file, data, place):
    with file(data).open("rb") as opened, suppress(ValueError, OSError):
        zip_format.read(opened.fileno(), *place)


def test_what_inflates_to_more_than_it_claims_is_damaged_and_takes_no_memory(file):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = deflate.compress(bytes(100 << 20)) + deflate.flush()
    with file(struct.pack("<4s22x2H", b"PK\3\4", 0, 0) + bomb).open("rb") as opened, little_memory():
        for claimed in (0, 1, 1000):
            with pytest.raises(ValueError):
                zip_format.read(opened.fileno(), 0, len(bomb), claimed, 8, zlib.crc32(bytes(claimed)))


def encoded(form: str, mode: str, size: tuple[int, int] = (8, 6), **options) -> bytes:
    image = Image.effect_noise(size, 80).convert(mode)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


EXIF = Image.Exif()
EXIF[0x0112] = 6
PHOTOS = (
    encoded("JPEG", "RGB", exif=EXIF),
    encoded("JPEG", "CMYK"),
    encoded("JPEG", "L", progressive=True),
    encoded("PNG", "RGBA"),
    encoded("PNG", "P", transparency=3),
    encoded("PNG", "1"),
    encoded("WEBP", "RGB"),
    encoded("WEBP", "RGBA", lossless=True, exif=EXIF),
)
GREY = tuple(map(parse, ["center", "0,0,4,4", "progan"]))
CROPS = (*GREY, *(parse(crop.name, None, size, "rgb") for crop in GREY for size in (8, 128)))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


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
        found = pixels(photo, crop)
    except UnusablePhoto as rejected:
        assert rejected.reason
    else:
        assert len(found) == math.prod(crop.shape)
