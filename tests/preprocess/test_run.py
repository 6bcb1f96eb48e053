"""The whole command, as a user types it."""

import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from preprocess.crop import CELEBA_BOXES
from tests.preprocess.damage import stamps


@pytest.fixture
def same(photos, listed) -> list:
    """The arguments that made the folder `shards`, but for --out and --workers."""
    return ["--source", photos.zip, *listed, "--shard-images", 7]


@pytest.mark.parametrize("workers", [1, 5])
def test_the_bytes_are_the_same_for_any_number_of_workers(preprocess, same, shards, contents, tmp_path, workers):
    assert preprocess(*same, "--out", tmp_path, "--workers", workers)[0] == 0
    assert contents(tmp_path) == contents(shards)


def test_a_folder_gives_the_shards_that_a_zip_gives(preprocess, photos, listed, shards, contents, tmp_path):
    status, output = preprocess("--source", photos.folder, *listed, "--shard-images", 7, "--out", tmp_path)
    assert status == 0, output
    theirs = {name: data for name, data in contents(shards).items() if name != "manifest.json"}
    assert {name: data for name, data in contents(tmp_path).items() if name != "manifest.json"} == theirs


def test_several_sources_give_the_shards_that_one_gives(preprocess, photos, listed, shards, tmp_path):
    ids = list(photos.rows)
    with zipfile.ZipFile(tmp_path / "within.zip", "w") as archive:
        for photo_id in ids[:20]:
            archive.write(photos.folder / photo_id, photo_id)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.write(tmp_path / "within.zip", "celeba/within.zip")
    with tarfile.open(tmp_path / "rest.tar", "w") as archive:
        for photo_id in ids[20:]:
            archive.add(photos.folder / photo_id, f"img/{photo_id}")
    sources = ["--source", tmp_path / "archive.zip", "--source", tmp_path / "rest.tar"]
    same = [*listed, "--shard-images", 7, "--out", tmp_path / "out"]
    status, output = preprocess(*sources, *same)
    assert status == 0, output
    for path in shards.glob("*.tfrecord"):
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    moved = (tmp_path / "rest.tar").rename(tmp_path / "renamed")
    assert "is up to date" in preprocess(*sources[:3], moved, *same)[1]
    status, output = preprocess(*sources[2:3], moved, *same)
    assert status == 2
    assert "source.photos: 40 -> 20" in output


def test_kaggles_doubled_folder_and_lists_as_csv(preprocess, photos, shards, contents, tmp_path):
    def as_csv(path: Path, header: str, skipped: int) -> Path:
        rows = [",".join(line.split()) for line in path.read_text().splitlines()[skipped:]]
        (tmp_path / f"{path.stem}.csv").write_text("\n".join([header, *rows]) + "\n")
        return tmp_path / f"{path.stem}.csv"

    with zipfile.ZipFile(tmp_path / "archive.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for photo_id in photos.rows:
            archive.write(photos.folder / photo_id, f"img_align_celeba/img_align_celeba/{photo_id}")
    names = "image_id," + ",".join(photos.attributes.read_text().splitlines()[1].split())
    lists = [
        *("--attributes", as_csv(photos.attributes, names, 2)),
        *("--partitions", as_csv(photos.partitions, "image_id,partition", 0)),
    ]
    status, output = preprocess(
        "--source", tmp_path / "archive.zip", *lists, "--shard-images", 7, "--out", tmp_path / "out"
    )
    assert status == 0, output
    for path in shards.glob("*.tfrecord"):
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_the_last_line_says_what_is_where_and_what_comes_next(preprocess, same, photos, tmp_path):
    status, output = preprocess(*same, "--out", tmp_path / "my faces")
    assert status == 0
    last = output.splitlines()[-1]
    counts = {split: list(photos.splits.values()).count(split) for split in ("train", "valid", "test")}
    assert ", ".join(f"{count} {split}" for split, count in counts.items()) in last
    assert f"python -m training.run --shards '{tmp_path}/my faces'/*.tfrecord" in last
    assert "photos/s" not in output  # no bar where there is no terminal


def test_without_lists_all_photos_are_for_training(preprocess, photos, tmp_path):
    assert preprocess("--source", photos.zip, "--out", tmp_path, "--limit", 9)[0] == 0
    assert [path.name for path in tmp_path.glob("*.tfrecord")] == ["train-00000-of-00001.tfrecord"]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["shards"][0]["count"], manifest["attribute_names"]) == (9, None)
    assert "attributes" not in (tmp_path / "features.json").read_text()


def test_pictures_that_are_passed_over_are_reported_and_damaged_exif_is_not(preprocess, photos, tmp_path):
    folder = shutil.copytree(photos.folder, tmp_path / "photos")
    with Image.open(folder / sorted(photos.rows)[0]) as image:
        image.save(folder / "damaged exif.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1")
    for name in ("1.bmp", "2.bmp", "3.tif"):
        (folder / name).touch()
    for line in ("41 photos make 1 shards", f"{tmp_path}/out is up to date"):
        status, output = preprocess("--source", folder, "--out", tmp_path / "out")
        assert status == 0
        assert output.startswith(
            f"Pictures of other kinds are passed over (2 .bmp, 1 .tif): convert them to JPEG or PNG.\n{line}"
        )
        assert len(output.splitlines()) == 3, output


@pytest.mark.parametrize("more", [[], ["--overwrite"], ["--workers", 3, "--max-rejected", 0.5]])
def test_a_second_call_finds_all_done(preprocess, same, shards, more):
    before = stamps(shards)
    status, output = preprocess(*same, "--out", shards, *more)
    assert (status, stamps(shards)) == (0, before)
    assert f"{shards} is up to date" in output


def test_a_link_to_a_shard_that_is_gone_stops_nothing(preprocess, same, shards, tmp_path):
    out = shutil.copytree(shards, tmp_path / "data")
    (out / "train-00000-of-00009.tfrecord").symlink_to("gone")
    status, output = preprocess(*same, "--out", out)
    assert (status, f"{out} is up to date" in output) == (0, True)


def test_other_settings_are_refused_by_name_and_overwrite_replaces(preprocess, same, shards, tmp_path, contents):
    out = tmp_path / "data"
    shutil.copytree(shards, out)
    (out / "notes.txt").write_text("of the user")
    before = contents(out)
    status, output = preprocess(*same, "--out", out, "--seed", 5, "--crop", "wae")
    assert status == 2
    for difference in ('settings.crop.name: "progan" -> "wae"', "settings.seed: 0 -> 5"):
        assert difference in output
    assert "--overwrite" in output
    assert contents(out) == before
    status, output = preprocess(*same, "--out", out, "--shard-images", 40, "--overwrite")
    assert status == 0, output
    after = contents(out)
    named = {shard["name"] for shard in json.loads(after["manifest.json"])["shards"]}
    assert {name for name in after if name.endswith(".tfrecord")} == named
    assert after["notes.txt"] == b"of the user"


@pytest.mark.parametrize("name", ["a.tfrecord", "celeb_a-train.tfrecord-00000-of-00010", "manifest.json"])
def test_shards_of_other_programs_stay(preprocess, same, tmp_path, name):
    (tmp_path / name).write_text("{}")
    status, output = preprocess(*same, "--out", tmp_path, "--overwrite")
    assert status == 2
    assert f"{tmp_path} holds data that this program did not make" in output
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.fixture
def some_bad(photos, jpeg, tmp_path) -> Path:
    """Twenty photos, four of which cannot be used."""
    folder = tmp_path / "some_bad"
    folder.mkdir()
    for photo_id in sorted(photos.rows)[:16]:
        shutil.copy(photos.folder / photo_id, folder)
    (folder / "cut.jpg").write_bytes(jpeg(0)[:-1000])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_bytes(b"<html>not found</html>")
    (folder / "wide.jpg").write_bytes(jpeg(0, size=(500, 218)))
    return folder


def test_photos_that_cannot_be_used_are_named(preprocess, some_bad, tmp_path):
    out = tmp_path / "out"
    status, output = preprocess("--source", some_bad, "--out", out, "--max-rejected", 0.2)
    assert status == 0, output
    assert "16 train; 4 rejected" in output
    rejected = {row["id"]: row["reason"] for row in map(json.loads, (out / "rejected.jsonl").read_text().splitlines())}
    assert list(rejected) == ["cut.jpg", "empty.png", "text.jpg", "wide.jpg"]
    assert "--crop center" in rejected["wide.jpg"]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["rejected"] == dict.fromkeys(sorted(rejected.values()), 1)
    assert manifest["shards"][0]["count"] == 16


def test_too_many_of_them_fail_and_nothing_is_lost(preprocess, some_bad, tmp_path):
    out = tmp_path / "out"
    status, output = preprocess("--source", some_bad, "--out", out)
    assert status == 1
    assert "4 of 20 photos cannot be used" in output
    for photo_and_reason in ("empty.png: empty file", "cut.jpg: truncated or damaged"):
        assert f"\n  1, such as {photo_and_reason}\n" in output
    assert list(out.glob("*.tfrecord")) == []
    made = {path: path.stat().st_mtime_ns for path in (out / ".unfinished").glob("*.tfrecord")}
    assert preprocess("--source", some_bad, "--out", out, "--max-rejected", 0.2)[0] == 0
    assert {out / ".unfinished" / path.name: path.stat().st_mtime_ns for path in out.glob("*.tfrecord")} == made


def test_wrong_input_is_reported_in_words_and_changes_nothing(preprocess, photos, same, tmp_path):
    bad = tmp_path / "bad.txt"
    bad.write_text("2\nBald\n000001.jpg 1\n")
    (tmp_path / "file").write_text("")
    for arguments, message in [
        (["--source", tmp_path / "nothing"], "nothing does not exist"),
        (["--source", bad], "bad.txt is not a whole zip"),
        (["--attributes", bad], "bad.txt, line 3: the first line promises 2 rows"),
        (["--attributes", tmp_path / "nothing"], "does not exist. What it takes: a file, or auto or folders."),
        (["--crop", "face"], "is not a crop"),
        (["--filter", "sharp"], "'sharp' is not one of"),
        (["--workers", "0"], "is not in the range"),
        (["--out", tmp_path / "file"], "is a file"),
    ]:
        status, output = preprocess(*same, "--out", tmp_path / "out", *arguments)
        assert (status, message in " ".join(output.split())) == (2, True), output
    assert {path.name for path in tmp_path.iterdir()} == {"bad.txt", "file"}


def test_help_names_every_crop(preprocess):
    status, output = preprocess("--help")
    assert status == 0
    assert all(name in "".join(output.split()) for name in CELEBA_BOXES)


@pytest.fixture
def all_wide(jpeg, tmp_path) -> Path:
    """300 photos of a size that CelebA's crops do not take."""
    (tmp_path / "wide").mkdir()
    photo = jpeg(0, size=(200, 160))
    for number in range(300):
        (tmp_path / "wide" / f"{number:03}.jpg").write_bytes(photo)
    return tmp_path / "wide"


def test_hundreds_that_cannot_be_used_for_one_reason_are_enough_and_its_advice_can_be_followed(
    preprocess, all_wide, tmp_path
):
    same = ["--source", all_wide, "--out", tmp_path / "out"]
    status, output = preprocess(*same)
    assert status == 1
    assert "The first 256 photos of a shard cannot be used, such as 000.jpg: not 178x218" in output
    assert "use --crop center" in output
    status, output = preprocess(*same, "--crop", "center")
    assert (status, "300 train; 0 rejected" in output) == (0, True), output


def test_whoever_allows_all_to_be_rejected_is_not_stopped(preprocess, all_wide, photos, tmp_path):
    shutil.copy(photos.folder / max(photos.rows), all_wide / "zzz.jpg")  # behind all that cannot be used
    status, output = preprocess("--source", all_wide, "--out", tmp_path / "out", "--max-rejected", 1)
    assert (status, "1 train; 300 rejected" in output) == (0, True), output
