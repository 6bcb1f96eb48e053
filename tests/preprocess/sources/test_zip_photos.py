"""Zips of every form, written by Python's zipfile: what is read is what was written."""

import io
import os
import random
import zipfile
from functools import partial

import pytest

from preprocess.sources import zip_photos
from tests.preprocess.archives import zipped

FILES = {f"folder/{n:03}.jpg": random.Random(n).randbytes(n * 37) for n in range(30)} | {"ünï/日本.png": b"abc" * 999}


def read_all(path) -> dict[str, bytes]:
    with path.open("rb", buffering=0) as file:
        pread = partial(os.pread, file.fileno())
        entries = zip_photos.entries(pread, path.stat().st_size)
        return {entry.path: zip_photos.read(pread, *entry.location) for entry in entries}


@pytest.mark.parametrize(
    "data",
    [
        zipped(FILES),
        zipped(FILES, zipfile.ZIP_DEFLATED),
        zipped(FILES, comment=b"a comment " * 6000),
        b"a program that unpacks itself" * 9 + zipped(FILES),
    ],
    ids=["stored", "deflated", "commented", "prepended"],
)
def test_every_photo_is_read_as_it_was_written(tmp_path, data):
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    assert read_all(path) == FILES


def test_more_entries_and_bytes_than_32_bits_can_count(tmp_path, monkeypatch):
    # zipfile turns to the 64-bit fields past these; lowered, every number is in them.
    for limit in ("ZIP64_LIMIT", "ZIP_FILECOUNT_LIMIT"):
        monkeypatch.setattr(zipfile, limit, 0)
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(FILES))
    assert b"PK\6\6" in path.read_bytes()
    assert read_all(path) == FILES


def test_a_name_longer_than_the_room_for_names(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("long" * 500 + ".jpg", b"photo")
    assert read_all(path) == {"long" * 500 + ".jpg": b"photo"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_flipped_bit_is_damage(tmp_path, method):
    path = tmp_path / "a.zip"
    whole = zipped(FILES, method)
    with zipfile.ZipFile(io.BytesIO(whole)) as made:
        at = made.getinfo("folder/020.jpg").header_offset + 200
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
    with pytest.raises(ValueError, match=r"checksum|deflated"):
        read_all(path)


def test_a_zip_whose_beginning_is_cut_off_is_not_whole(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(FILES)[100:])
    with pytest.raises(ValueError, match="its beginning is missing"):
        read_all(path)
