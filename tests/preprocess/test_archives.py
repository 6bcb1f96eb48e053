"""What zips and tars alone can have, in the forms that other programs give them."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import tarfile
import zipfile

import click
import pytest

from preprocess.crop import UnusablePhoto
from preprocess.sources import open_source
from tests.preprocess.archives import read_all, reasons, tarred, zipped


@pytest.fixture
def opened(tmp_path):
    """Make a file of these bytes and open it as a source."""

    def write(data: bytes):
        path = tmp_path / "photos.archive"
        path.write_bytes(data)
        return open_source([path])

    return write


def test_an_encrypted_zip_is_reported(opened):
    data = bytearray(zipped({"1.jpg": b"one", "2.jpg": b"two"}))
    first = data.index(b"PK\1\2")
    data[first + 8] |= 1  # the first of the flags
    assert reasons(opened(data)) == {"1.jpg": "encrypted: unpack the zip with its password, and name the folder"}
    data[data.index(b"PK\1\2", first + 1) + 8] |= 1
    with pytest.raises(click.UsageError, match=r"photos.archive holds no photo that can be used: 1.jpg is encrypted"):
        opened(data).list()


@pytest.mark.parametrize(("method", "name"), [(9, "Deflate64"), (12, "bzip2"), (14, "LZMA"), (77, "method 77")])
def test_a_photo_that_a_zip_holds_compressed_in_another_way_is_rejected(opened, method, name):
    data = bytearray(zipped({"1.jpg": b"one", "2.jpg": b"two"}))
    data[data.index(b"PK\1\2") + 10] = method
    source = opened(data)
    assert read_all(source) == {"2.jpg": b"two"}
    reason = f"compressed with {name}, which cannot be read here: unpack the zip, and name the folder"
    assert reasons(source) == {"1.jpg": reason}


def test_zips_beside_photos_in_a_zip(opened):
    source = opened(
        zipped(
            {
                "1.jpg": b"one",
                "a/first.ZIP": zipped({"img/2.jpg": b"two"}, zipfile.ZIP_DEFLATED),
                "b/second.zip": zipped({"3.jpg": b"three", "img/2.jpg": b"again"}),
                "lists.zip": zipped({"list.txt": b""}),
            }
        )
    )
    assert read_all(source) == {"1.jpg": b"one", "2.jpg": b"two", "3.jpg": b"three"}
    assert list(reasons(source)) == ["b/second.zip/img/2.jpg"]


def test_a_compressed_zip_in_a_zip_is_reported(opened):
    within = zipped({"1.jpg": b"one"})
    with pytest.raises(click.UsageError, match=r"img.zip is a zip that cannot be read in place: unpack what it lies"):
        opened(zipped({"img.zip": within}, zipfile.ZIP_DEFLATED)).list()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("img.zip", within, zipfile.ZIP_DEFLATED)
        archive.writestr("0.jpg", b"zero")
    source = opened(made.getvalue())
    assert list(read_all(source)) == ["0.jpg"]
    assert list(reasons(source)) == ["img.zip"]


def test_a_damaged_zip_in_a_zip_is_named(opened):
    with pytest.raises(click.UsageError, match=r"not a whole zip or tar: of img.zip in it, its directory"):
        opened(zipped({"img.zip": zipped({"1.jpg": b"one"})[:-1]})).list()


def test_zips_in_a_zip_that_overlap_are_damage(opened):
    """Or a file of some kilobytes could seem to hold photos without end."""
    data = zipped({"a.zip": zipped({"1.jpg": bytes(1000)}), "b.zip": b""})
    first = data.index(b"PK\1\2", data.index(b"b.zip"))
    second = data.index(b"PK\1\2", first + 1)
    twice = data[:second] + data[first : first + 46] + data[second + 46 :]
    with pytest.raises(click.UsageError, match="its directory is damaged"):
        opened(twice).list()


def test_names_in_a_zip_that_other_programs_wrote(opened):
    """Info-ZIP on Linux writes UTF-8 and does not say so, .NET wrote backslashes, DOS and Windows write code pages."""
    data = zipped({"12/34.jpg": b"one", "img\\2.jpg": b"two", "Mxller.jpg": b"three", "12/four.jpg": b"four"})
    data = data.replace(b"12/34.jpg", "é/ü.jpg".encode()).replace(b"Mxller.jpg", "Müller.jpg".encode("cp437"))
    data = data.replace(b"12/four.jpg", "12/똠각.jpg".encode("cp949"))
    assert read_all(opened(data)) == {"ü.jpg": b"one", "2.jpg": b"two", "Müller.jpg": b"three", "똠각.jpg": b"four"}
    named = zipped({"──.jpg": b"lines"})
    assert read_all(opened(named)) == {"──.jpg": b"lines"}


def test_zips_that_were_joined_are_refused(opened):
    first, second = (zipped({name: b"photo"}) for name in ("1.jpg", "2.jpg"))
    with pytest.raises(click.UsageError, match="zips are joined in it, and each needs a --source of its own"):
        opened(first + second).list()
    assert list(opened(b"a program that unpacks it" + second).list().photos) == ["2.jpg"]


def test_a_zip_in_several_parts_is_said_to_be_that(opened):
    data = zipped({"1.jpg": b"one"})
    assert read_all(opened(data)) == {"1.jpg": b"one"}
    last = data[:-18] + b"\3\0" + data[-16:]  # as `zip -s` writes it: the number of this part
    with pytest.raises(click.UsageError, match=r"the last of several parts.*zip -s 0"):
        opened(last).list()


@pytest.mark.parametrize(
    ("data", "command"),
    [
        (gzip.compress(b"a tar", mtime=0), "tar -xf"),
        (bz2.compress(b"a tar"), "tar -xf"),
        (lzma.compress(b"a tar"), "tar -xf"),
        (b"7z\xbc\xaf\x27\x1c", "7z x"),  # as CelebA's photos before the alignment come
    ],
)
def test_what_is_compressed_as_a_whole_is_refused_with_what_to_do(opened, data, command):
    with pytest.raises(click.UsageError, match=rf"photos.archive is compressed .*{command}.*name that folder"):
        opened(data)


@pytest.fixture
def tree(tmp_path):
    """A folder as it is on the disks of some: long names, links of both kinds, a file with a hole, a pipe."""
    folder = tmp_path / "tree"
    long = folder / "/".join(["a" * 90] * 3)
    long.mkdir(parents=True)
    (long / f"{'é' * 100}.jpg").write_bytes(b"long")
    (folder / "1.jpg").write_bytes(b"one" * 1000)
    (folder / "empty.jpg").touch()
    os.link(folder / "1.jpg", folder / "same.jpg")
    (folder / "symbolic.jpg").symlink_to("1.jpg")
    (long / "up.jpg").symlink_to("../../../symbolic.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "outside.jpg").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.jpg")
    with (folder / "hole.png").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"behind the hole")
    return folder


EXPECTED = {
    "é" * 100 + ".jpg": b"long",
    "1.jpg": b"one" * 1000,
    "empty.jpg": b"",
    "hole.png": bytes(1 << 20) + b"behind the hole",
    "same.jpg": b"one" * 1000,
    "symbolic.jpg": b"one" * 1000,
    "up.jpg": b"one" * 1000,
}


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_by_tarfile(tree, tmp_path, form):
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
        archive.add(tree, "tree")
    source = open_source([tmp_path / "a.tar"])
    assert read_all(source) == EXPECTED
    nowhere = "a link that leads nowhere in the tar"
    assert reasons(source) == {"tree/loop.jpg": nowhere, "tree/outside.jpg": nowhere}


@pytest.mark.parametrize("options", [["--format=gnu"], ["--format=pax"], ["--format=oldgnu", "--blocking-factor=1"]])
@pytest.mark.parametrize("name", [".", "../tree"])
def test_a_tar_by_tar(tree, tmp_path, options, name):
    path = tmp_path / "a.tar"
    subprocess.run(["tar", "-C", tree, *options, "-P", "-cf", path, name], check=True)
    source = open_source([path])
    assert read_all(source) == EXPECTED
    assert [member.rpartition("/")[2] for member in sorted(reasons(source))] == ["loop.jpg", "outside.jpg"]


@pytest.mark.parametrize("options", [["--format=gnu"], ["--format=pax"], ["--format=pax", "--sparse-version=0.1"]])
def test_a_file_stored_without_its_holes_is_rejected_and_those_behind_it_are_found(tmp_path, options):
    folder = tmp_path / "tree"
    folder.mkdir()
    with (folder / "holes.png").open("wb") as file:
        for at in range(60):  # more than a header has room for
            file.seek(at << 17)
            file.write(b"between holes")
    (folder / "one.jpg").write_bytes(b"one")
    subprocess.run(
        ["tar", "-C", folder, *options, "--sparse", "-cf", tmp_path / "a.tar", "holes.png", "one.jpg"], check=True
    )
    source = open_source([tmp_path / "a.tar"])
    assert read_all(source) == {"one.jpg": b"one"}
    assert [reason.partition(":")[0] for reason in reasons(source).values()] == ["stored with its holes left out"]


def test_numbers_too_large_for_the_header_of_a_tar(tmp_path):
    """A date before 1970, and a file past 8 GiB: the hole takes no room on the disk."""
    path = tmp_path / "a.tar"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(path, "w", format=form) as archive:
            video = tarfile.TarInfo("video.mp4")
            video.size = 9 << 30
            video.mtime = -5
            archive.fileobj.write(video.tobuf(form))
            archive.offset = archive.fileobj.seek(video.size, os.SEEK_CUR)
            photo = tarfile.TarInfo("1.jpg")
            photo.size = 3
            archive.addfile(photo, io.BytesIO(b"one"))
        assert read_all(open_source([path])) == {"1.jpg": b"one"}


def test_a_size_that_no_file_has_is_damage(opened):
    entry = tarfile.TarInfo("1.jpg")
    entry.size = 1 << 80
    with pytest.raises(click.UsageError, match="its end is missing"):
        opened(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024)).list()


def test_a_tar_damaged_between_two_photos_is_reported(opened):
    data = tarred({"1.jpg": b"", "2.jpg": b""}).replace(b"2.jpg", b"3.jpg")
    with pytest.raises(click.UsageError, match="is not a whole zip or tar: its header at byte 512 is damaged"):
        opened(data).list()


@pytest.mark.parametrize(("links", "leads"), [(1, True), (39, True), (40, False), (200, False)])
def test_links_in_a_tar_are_followed_as_far_as_linux_would(tmp_path, links, leads):
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        entry = tarfile.TarInfo("file.bin")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"photo"))
        for number in range(links):
            link = tarfile.TarInfo("1.jpg" if number == links - 1 else f"link{number}")
            link.type, link.linkname = tarfile.SYMTYPE, f"link{number - 1}" if number else "file.bin"
            archive.addfile(link)
        entry = tarfile.TarInfo("2.jpg")
        entry.size = 6
        archive.addfile(entry, io.BytesIO(b"second"))
    source = open_source([tmp_path / "photos.tar"])
    assert read_all(source) == ({"1.jpg": b"photo"} if leads else {}) | {"2.jpg": b"second"}
    assert reasons(source) == ({} if leads else {"1.jpg": "a link that leads nowhere in the tar"})


def fails(*_):
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("is_there", [True, False])
def test_a_disk_that_fails_is_reported_otherwise_than_an_archive_that_is_gone(opened, monkeypatch, is_there):
    source = opened(zipped({"1.jpg": b"one"}))
    [place] = source.list().photos.values()
    monkeypatch.setattr(os, "pread", fails)
    with source.opened() as read:
        if not is_there:
            source.paths[0].unlink()
        kind, message = (
            (UnusablePhoto, "unreadable: Input/output error") if is_there else (click.ClickException, "any more")
        )
        with pytest.raises(kind, match=message):
            read(place)


def test_an_archive_that_the_disk_cannot_list_is_reported(opened, monkeypatch):
    source = opened(zipped({"1.jpg": b"one"}))
    monkeypatch.setattr(os, "pread", fails)
    with pytest.raises(click.UsageError, match=r"photos\.archive cannot be read: Input/output error"):
        source.list()


def test_a_tar_that_leads_backwards_ends(opened):
    """A size below 0 points at an earlier header; Python before 3.13.6 followed it for ever."""
    entry = tarfile.TarInfo("1.jpg")
    first = entry.tobuf()
    entry.name, entry.size = "2.jpg", 0
    second = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    second[124:136] = (-512 % 2**96).to_bytes(12, "big")  # base 256
    second[148:156] = b" " * 8
    second[148:156] = b"%06o\0 " % sum(second)
    with pytest.raises(click.UsageError, match="is not a whole zip or tar"):
        opened(first + bytes(second) + bytes(1024)).list()


@pytest.mark.parametrize("padding", [0, 2 << 20])
def test_tars_behind_a_tar_are_read_too(opened, padding):
    first = tarred({"1.jpg": b"one"}) + bytes(padding)
    second = tarred({"2.jpg": b"two"}, links=[("3.jpg", tarfile.SYMTYPE, "1.jpg")])
    photos = {"1.jpg": b"one", "2.jpg": b"two", "3.jpg": b"one"}
    assert read_all(opened(first + second)) == photos
    assert read_all(opened(first + second + b"anything else")) == photos
    with pytest.raises(click.UsageError, match="is not a whole zip or tar: its end is missing"):
        opened(first + second[:1024]).list()


def test_a_tar_that_ends_with_its_last_photo_is_not_whole(opened):
    """A tar ends with a block of zeros: without it nobody knows what was to come."""
    entry = tarfile.TarInfo("1.jpg")
    entry.size = 3
    whole = entry.tobuf() + b"one".ljust(512, b"\0")
    for cut in (b"", bytes(511)):
        with pytest.raises(click.UsageError, match="is not a whole zip or tar: its end is missing"):
            opened(whole + cut).list()
    assert list(opened(whole + bytes(512)).list().photos) == ["1.jpg"]
