"""Where photos come from: what is found, what is passed over, what is read."""

import os
import zipfile
from pathlib import Path

import click
import pytest

from preprocess.crop import Rejected
from preprocess.sources import open_source


def read_all(source) -> dict[str, bytes]:
    with source.opened() as read:
        return {photo_id: read(location) for photo_id, location in source.list().photos.items()}


def ids(source) -> list[str]:
    return list(source.list().photos)


@pytest.fixture
def zipped(tmp_path):
    def write(files: dict[str, bytes], method=zipfile.ZIP_STORED):
        path = tmp_path / "photos.zip"
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return open_source(path)

    return write


@pytest.fixture
def folder(tmp_path):
    def write(files: dict[str, bytes]):
        for name, data in files.items():
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return open_source(tmp_path / "photos")

    return write


PHOTOS = {
    "img/img/000010.jpg": b"ten",
    "img/img/000002.JPG": b"two",
    "img/é日.png": b"named",
    "b.jpeg": b"b",
    "c.webp": b"",
}
PASSED_OVER = {
    "__MACOSX/img/._000010.jpg": b"shadow",
    "__MACOSX/000011.jpg": b"shadow",
    ".cache/000012.jpg": b"hidden",
    "img/.000013.jpg": b"hidden",
    "img/list.txt": b"a list",
    "README": b"read me",
}


@pytest.mark.parametrize("kind", ["zipped", "folder"])
def test_photos_are_found_at_any_depth_in_the_order_of_their_ids(kind, request):
    source = request.getfixturevalue(kind)(PHOTOS | PASSED_OVER)
    assert ids(source) == ["000002.JPG", "000010.jpg", "b.jpeg", "c.webp", "é日.png"]
    assert read_all(source) == {name.rpartition("/")[2]: data for name, data in PHOTOS.items()}


def test_a_deflated_zip_is_read(zipped):
    files = {"a.jpg": b"photo" * 1000, "b.jpg": bytes(5000)}
    assert read_all(zipped(files, zipfile.ZIP_DEFLATED)) == files


@pytest.mark.parametrize("kind", ["zipped", "folder"])
def test_of_equal_ids_the_first_is_taken_and_the_others_are_named(kind, request):
    source = request.getfixturevalue(kind)({"a/1.jpg": b"first", "b/1.jpg": b"second", "c/1.jpg": b"third"})
    assert read_all(source) == {"1.jpg": b"first"}
    assert [rejection.id for rejection in source.list().rejected] == ["b/1.jpg", "c/1.jpg"]


@pytest.mark.parametrize("kind", ["zipped", "folder"])
@pytest.mark.parametrize(
    "changed",
    [
        {"a.jpg": b"one", "b.jpg": b"twO!"},
        {"a.jpg": b"one"},
        {"a.jpg": b"one", "c.jpg": b"two"},
        {"a.jpg": b"one", "b.jpg": b"two", "c.jpg": b"three"},
    ],
)
def test_the_fingerprint_tells_another_source(kind, request, changed, tmp_path):
    make = request.getfixturevalue(kind)
    before = make({"a.jpg": b"one", "b.jpg": b"two", "list.txt": b"x"}).list().fingerprint
    if kind == "folder":
        (tmp_path / "photos" / "b.jpg").unlink()
    assert make(changed).list().fingerprint != before


def test_a_link_that_loops_does_not(folder, tmp_path):
    source = folder({"a/1.jpg": b"one"})
    (tmp_path / "photos" / "a" / "again").symlink_to(tmp_path / "photos")
    assert ids(source) == ["1.jpg"]


def test_what_is_no_file_is_passed_over_and_a_link_to_nothing_rejected(folder, tmp_path):
    source = folder({"1.jpg": b"one"})
    os.mkfifo(tmp_path / "photos" / "pipe.jpg")  # a reader would wait for ever
    (tmp_path / "photos" / "folder.jpg").mkdir()
    (tmp_path / "photos" / "2.jpg").symlink_to(tmp_path / "nothing")
    assert ids(source) == ["1.jpg", "2.jpg"]
    with pytest.raises(Rejected, match="cannot be read"):
        read_all(source)


def test_a_name_that_is_not_utf8_is_rejected(folder, tmp_path):
    source = folder({"1.jpg": b"one"})
    Path(os.fsdecode(os.fsencode(source.path) + b"/\xff.jpg")).touch()
    listing = source.list()
    assert list(listing.photos) == ["1.jpg"]
    assert [rejection.reason for rejection in listing.rejected] == ["the name is not UTF-8"]


def test_a_photo_damaged_in_the_zip_is_rejected(zipped):
    source = zipped({"1.jpg": b"one", "2.jpg": b"two"})
    source.path.write_bytes(source.path.read_bytes().replace(b"two", b"twO", 1))
    with source.opened() as read:
        places = source.list().photos
        assert read(places["1.jpg"]) == b"one"
        with pytest.raises(Rejected, match="damaged"):
            read(places["2.jpg"])


@pytest.mark.parametrize("kind", ["zipped", "folder"])
def test_a_huge_photo_is_rejected_before_it_fills_the_memory(kind, request, monkeypatch):
    monkeypatch.setattr("preprocess.sources.MAX_PHOTO_BYTES", 3)
    source = request.getfixturevalue(kind)({"1.jpg": b"long"})
    with pytest.raises(Rejected, match="larger than"):
        read_all(source)


@pytest.mark.parametrize("kind", ["zipped", "folder"])
def test_a_source_that_vanished_ends_the_work(kind, request):
    source = request.getfixturevalue(kind)({"1.jpg": b"one"})
    places = source.list().photos
    source.path.rename(source.path.with_name("elsewhere"))
    with pytest.raises(click.ClickException, match="cannot be read any more"), source.opened() as read:
        read(places["1.jpg"])


def test_an_encrypted_zip_is_said(zipped):
    source = zipped({"1.jpg": b"one"})
    data = bytearray(source.path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1  # the first of the flags
    source.path.write_bytes(data)
    with pytest.raises(click.UsageError, match="is encrypted: unpack it"):
        source.list()


def test_what_is_no_source_is_said(tmp_path, zipped):
    whole = zipped({"1.jpg": b"one"}).path.read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:-1])
    (tmp_path / "text").write_text("not a zip")
    (tmp_path / "empty").mkdir()
    zipped({"list.txt": b""})
    for name, message in {
        "nothing": "does not exist",
        "empty": "holds no photos",
        "text": "is not a whole zip",
        "cut.zip": "is not a whole zip",
        "photos.zip": "holds no photos",
    }.items():
        with pytest.raises(click.UsageError, match=message) as error:
            open_source(tmp_path / name).list()
        assert str(tmp_path / name) in error.value.message
