"""Where photos come from: what is found, what is passed over, what is read; the same in folders and archives."""

import os
import tarfile
import zipfile
from pathlib import Path

import click
import pytest

from preprocess.crop import UnusablePhoto
from preprocess.sources import open_source
from tests.preprocess.archives import read_all, reasons, tarred, zipped

ARCHIVES = {
    "zip": zipped,
    "deflated zip": lambda files: zipped(files, zipfile.ZIP_DEFLATED),
    "zip in a zip": lambda files: zipped({"celeba/img.zip": zipped(files)}),
    "tar": tarred,
}


def writer(kind: str, path: Path):
    def write(files: dict[str, bytes]):
        path.write_bytes(ARCHIVES[kind](files))
        return open_source([path])

    return write


@pytest.fixture(params=ARCHIVES)
def archive(request, tmp_path):
    """Make an archive of these files."""
    return writer(request.param, tmp_path / "photos")


@pytest.fixture
def folder(tmp_path):
    """Make a folder of these files, or add them to it."""

    def write(files: dict[str, bytes]):
        for name, data in files.items():
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return open_source([tmp_path / "photos"])

    return write


@pytest.fixture(params=["folder", *ARCHIVES])
def container(request, tmp_path):
    """Make one of every kind of these files."""
    if request.param == "folder":
        return request.getfixturevalue("folder")
    return writer(request.param, tmp_path / "photos")


def ids(source) -> list[str]:
    return list(source.list().photos)


PHOTOS = {
    "img/img/000010.jpg": b"ten",
    "img/img/000002.JPG": b"two",
    "img/é日.png": b"named" * 200,
    "b.jpeg": b"b",
    "c.webp": b"",
    "a.b./d.jpg": b"d",
}
PASSED_OVER = {
    "__MACOSX/img/._000010.jpg": b"shadow",
    "__MACOSX/000011.jpg": b"shadow",
    "__MACOSX/._img.zip": b"shadow",
    ".cache/000012.jpg": b"hidden",
    "img/@eaDir/000010.jpg/SYNOPHOTO_THUMB_XL.jpg": b"thumbnail",
    "$RECYCLE.BIN/S-1-5-18/$R0A1B2C.jpg": b"deleted",
    "img/.000013.jpg": b"hidden",
    "img/list.txt": b"a list",
    "README": b"read me",
}


def test_photos_are_found_at_any_depth_in_the_order_of_their_ids(container):
    source = container(PHOTOS | PASSED_OVER)
    assert ids(source) == ["000002.JPG", "000010.jpg", "b.jpeg", "c.webp", "d.jpg", "é日.png"]
    assert read_all(source) == {name.rpartition("/")[2]: data for name, data in PHOTOS.items()}
    assert source.list().rejected == ()


def test_pictures_that_are_not_read_are_counted_by_their_kind(container):
    files = {"a.jpg": b"a", "b.JFIF": b"b", "c.pjpeg": b"c", "d.jpe": b"d", "notes.txt": b"", ".hidden.bmp": b""}
    before = container(files).list()
    assert (list(before.photos), before.passed_over) == (["a.jpg", "b.JFIF", "c.pjpeg", "d.jpe"], {})
    listing = container(files | {"x/1.BMP": b"1", "2.bmp": b"2", "scan.tiff": b"3", "phone.heic": b"4"}).list()
    assert listing.passed_over == {".bmp": 2, ".heic": 1, ".tiff": 1}
    assert (listing.photos.keys(), listing.rejected) == (before.photos.keys(), ())


def test_a_source_of_other_pictures_alone_is_refused_and_they_are_named(container):
    source = container({"1.bmp": b"1", "2.TIF": b"2", "notes.txt": b""})
    with pytest.raises(
        click.UsageError, match=r"holds no photos .*passed over \(1 .bmp, 1 .tif\): convert them to JPEG"
    ):
        source.list()


def test_names_that_climb_are_names(archive):
    files = {"../../etc/1.jpg": b"one", "./2.jpg": b"two", "/root/3.jpg": b"three", "a/./../4.jpg": b"four"}
    assert read_all(archive(files)) == {"1.jpg": b"one", "2.jpg": b"two", "3.jpg": b"three", "4.jpg": b"four"}


def test_of_equal_ids_the_first_is_taken_and_the_others_are_named(container):
    source = container({"a/1.jpg": b"first", "b/1.jpg": b"second", "c/1.jpg": b"third"})
    assert read_all(source) == {"1.jpg": b"first"}
    assert [rejection.id.removeprefix("celeba/img.zip/") for rejection in source.list().rejected] == [
        "b/1.jpg",
        "c/1.jpg",
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"a.jpg": b"one", "b.jpg": b"twO!"},
        {"a.jpg": b"one"},
        {"a.jpg": b"one", "c.jpg": b"two"},
        {"a.jpg": b"one", "b.jpg": b"two", "c.jpg": b"three"},
    ],
)
def test_the_fingerprint_tells_another_source(container, changed, tmp_path):
    source = container({"a.jpg": b"one", "b.jpg": b"two", "list.txt": b"x"})
    before = source.list().fingerprint
    if source.paths[0].is_dir():
        (tmp_path / "photos" / "b.jpg").unlink()
    assert container(changed).list().fingerprint != before


def test_a_moved_source_has_the_fingerprint_that_it_had(container, tmp_path):
    source = container({"a.jpg": b"one"})
    before = source.list().fingerprint
    (tmp_path / "elsewhere").mkdir()
    moved = source.paths[0].rename(tmp_path / "elsewhere" / "renamed")
    assert open_source([moved]).list().fingerprint == before


def test_a_huge_photo_is_rejected_before_it_fills_the_memory(container, monkeypatch):
    monkeypatch.setattr("preprocess.sources.photo.MAX_PHOTO_BYTES", 100)
    source = container({"1.jpg": bytes(100), "2.jpg": bytes(101)})
    with source.opened() as read:
        listing = source.list()
        assert read(listing.photos["1.jpg"]) == bytes(100)
        if not listing.rejected:  # a folder knows when it reads
            with pytest.raises(UnusablePhoto, match="larger than"):
                read(listing.photos["2.jpg"])
        else:
            assert "larger than" in listing.rejected[0].reason


def test_a_source_that_vanished_ends_the_work(container):
    source = container({"1.jpg": b"one"})
    places = source.list().photos
    source.paths[0].rename(source.paths[0].with_name("elsewhere"))
    with pytest.raises(click.ClickException, match="cannot be read any more"), source.opened() as read:
        read(places["1.jpg"])


def test_a_photo_that_vanished_from_a_folder_ends_the_work(folder):
    source = folder({"a/1.jpg": b"one", "b/2.jpg": b"two"})
    places = source.list().photos
    (source.paths[0] / "a").rename(source.paths[0].with_name("elsewhere"))
    with source.opened() as read:
        assert read(places["2.jpg"]) == b"two"
        with pytest.raises(click.ClickException, match=r"a/1.jpg cannot be read any more"):
            read(places["1.jpg"])


def test_an_archive_that_changes_meanwhile_ends_the_work(archive):
    source = archive({"1.jpg": b"one", "2.jpg": bytes(2000)})
    path, whole = source.paths[0], source.paths[0].read_bytes()
    places = source.list().photos
    with pytest.raises(click.ClickException, match="changed while"), source.opened() as read:
        assert read(places["1.jpg"]) == b"one"
        path.write_bytes(whole[:100])  # its download begins anew
    with pytest.raises(click.ClickException, match="changed while"), source.opened():
        pytest.fail("another archive was opened")


def test_links_are_followed_and_none_loops(folder, tmp_path):
    source = folder({"a/1.jpg": b"one", "a/below/2.jpg": b"two"})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "3.jpg").write_bytes(b"three")
    for link, target in {
        "a/below/up": tmp_path / "photos",
        "more": elsewhere,
        "twice": elsewhere,
        "4.jpg": elsewhere / "3.jpg",
        "5.jpg": tmp_path / "nothing",
        "6.jpg": tmp_path / "photos" / "6.jpg",
    }.items():
        (tmp_path / "photos" / link).symlink_to(target)
    assert read_all(source) == {"1.jpg": b"one", "2.jpg": b"two", "3.jpg": b"three", "4.jpg": b"three"}
    assert reasons(source) == dict.fromkeys(["5.jpg", "6.jpg"], "a link that leads nowhere")


def test_what_is_no_file_is_passed_over(folder, tmp_path):
    source = folder({"1.jpg": b"one"})
    os.mkfifo(tmp_path / "photos" / "pipe.jpg")  # a reader would wait for ever
    (tmp_path / "photos" / "folder.jpg").mkdir()
    assert ids(source) == ["1.jpg"]


def test_a_name_that_is_not_utf8_is_rejected(folder):
    source = folder({"1.jpg": b"one"})
    Path(os.fsdecode(os.fsencode(source.paths[0]) + b"/\xff.jpg")).touch()
    assert ids(source) == ["1.jpg"]
    assert list(reasons(source).values()) == ["the name is not UTF-8"]


def test_several_sources_are_one(tmp_path, folder):
    folder({"a/1.jpg": b"one", "2.jpg": b"two"})
    (tmp_path / "more.zip").write_bytes(zipped({"b/2.jpg": b"TWO", "3.jpg": b"three"}))
    (tmp_path / "rest.tar").write_bytes(tarred({"4.jpg": b"four", "1.jpg": b"ONE"}))
    paths = [tmp_path / name for name in ("photos", "more.zip", "rest.tar")]
    source = open_source(paths)
    assert source.paths == tuple(paths)
    assert read_all(source) == {"1.jpg": b"one", "2.jpg": b"two", "3.jpg": b"three", "4.jpg": b"four"}
    taken = "another photo of this name came before"
    assert reasons(source) == {"more.zip/b/2.jpg": f"{taken}: use --ids path", "rest.tar/1.jpg": taken}
    # In another order other photos are taken; without one of them there are fewer.
    fingerprints = {open_source(some).list().fingerprint for some in (paths, paths[::-1], paths[:2], paths[1:])}
    assert len(fingerprints) == 4


def test_each_of_several_sources_must_hold_photos(tmp_path, folder):
    folder({"1.jpg": b"one"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(click.UsageError, match=f"{tmp_path}/empty holds no photos"):
        open_source([tmp_path / "photos", tmp_path / "empty"]).list()


def test_an_archive_that_is_cut_anywhere_is_reported(archive):
    source = archive({"1.jpg": b"one" * 50, "2.jpg": b"two" * 50})
    path, whole = source.paths[0], source.paths[0].read_bytes()
    end = len(whole.rstrip(b"\0")) if tarfile.is_tarfile(path) else len(whole)  # a tar may be filled up with zeros
    for length in range(0, end, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(click.UsageError, match=rf"{path} is not a whole zip or tar: .* Download it again"):
            open_source([path]).list()


def test_what_is_no_source_is_reported(tmp_path):
    (tmp_path / "text").write_text("not an archive")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "lists.zip").write_bytes(zipped({"list.txt": b""}))
    (tmp_path / "lists.tar").write_bytes(tarred({"list.txt": b""}))
    for name, message in {
        "nothing": "does not exist",
        "pipe": "is neither a folder nor a file",
        "empty": "holds no photos .*Name the folder, zip or tar that they are in",
        "text": "is not a whole zip or tar",
        "photo.jpg": "is not a whole zip or tar",
        "lists.zip": "holds no photos",
        "lists.tar": "holds no photos",
    }.items():
        with pytest.raises(click.UsageError, match=message) as error:
            open_source([tmp_path / name]).list()
        assert str(tmp_path / name) in error.value.message


@pytest.mark.parametrize("is_there", [True, False])
def test_a_disk_that_fails_is_reported_otherwise_than_a_folder_that_is_gone(tmp_path, monkeypatch, is_there):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(b"one")
    source = open_source([folder])
    [place] = source.list().photos.values()

    def fails(*_, **__):
        raise OSError(5, "Input/output error")

    if not is_there:
        folder.rename(tmp_path / "away")
    monkeypatch.setattr(Path, "open", fails)
    kind, message = (
        (UnusablePhoto, "unreadable: Input/output error") if is_there else (click.ClickException, "any more")
    )
    with source.opened() as read, pytest.raises(kind, match=message):
        read(place)
