"""A zip's bytes, held against Python's zipfile."""

import io
import random
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess.sources import zip_format

FILES = {f"folder/{n:03}.jpg": random.Random(n).randbytes(n * 37) for n in range(30)} | {"ünï/日本.png": b"abc" * 999}


def archive(method=zipfile.ZIP_STORED, comment=b"", force_zip64=False) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, data in FILES.items():
            with made.open(name, "w", force_zip64=force_zip64) as entry:
                entry.write(data)
        made.comment = comment
    return file.getvalue()


def read_all(path) -> dict[str, bytes]:
    with path.open("rb", buffering=0) as file:
        return {
            entry.name: zip_format.read(
                file.fileno(), entry.offset, entry.stored_size, entry.size, entry.method, entry.crc
            )
            for entry in zip_format.entries(file.fileno(), 0, path.stat().st_size)
        }


@pytest.mark.parametrize(
    "data",
    [
        archive(),
        archive(zipfile.ZIP_DEFLATED),
        archive(comment=b"a comment " * 6000),
        archive(force_zip64=True),
        b"a program that unpacks itself" * 9 + archive(),
        zipfile.ZipFile(empty := io.BytesIO(), "w").close() or empty.getvalue(),
    ],
    ids=["stored", "deflated", "commented", "zip64", "prepended", "empty"],
)
def test_every_entry_is_what_zipfile_reads(tmp_path, data):
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    with zipfile.ZipFile(path) as theirs:
        assert read_all(path) == {name: theirs.read(name) for name in theirs.namelist()}


def test_more_entries_and_bytes_than_32_bits_can_count(tmp_path, monkeypatch):
    # zipfile turns to the 64-bit fields past these; lowered, every number is in them.
    for limit in ("ZIP64_LIMIT", "ZIP_FILECOUNT_LIMIT"):
        monkeypatch.setattr(zipfile, limit, 0)
    path = tmp_path / "a.zip"
    path.write_bytes(archive(force_zip64=True))
    assert b"PK\6\6" in path.read_bytes()
    assert read_all(path) == FILES


def test_names_longer_than_the_room_for_them(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("long" * 500 + ".jpg", b"photo")
    assert read_all(path) == {"long" * 500 + ".jpg": b"photo"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_flipped_bit_is_found(tmp_path, method):
    path = tmp_path / "a.zip"
    whole = archive(method)
    with zipfile.ZipFile(io.BytesIO(whole)) as made:
        at = made.getinfo("folder/020.jpg").header_offset + 200
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
    with pytest.raises(ValueError, match=r"checksum|deflated"):
        read_all(path)


def test_an_encrypted_entry_is_known(tmp_path):
    path = tmp_path / "a.zip"
    data = bytearray(archive())
    flags = data.index(b"PK\1\2") + 8
    struct.pack_into("<H", data, flags, struct.unpack_from("<H", data, flags)[0] | 1)
    path.write_bytes(data)
    with path.open("rb") as file:
        assert [it.is_encrypted for it in zip_format.entries(file.fileno(), 0, len(data))][:2] == [True, False]


WHOLE = archive()


@given(st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_damage_anywhere_gives_files_or_a_value_error(tmp_path_factory, length, at, value):
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    for data in (WHOLE[:length], WHOLE[:at] + bytes([value]) + WHOLE[at + 1 :], WHOLE[length:]):
        path.write_bytes(data)
        try:
            read_all(path)
        except ValueError:
            continue
