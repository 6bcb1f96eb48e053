"""Attributes from folders: whose names they are, which are refused, and what the shards say of them."""

import json
import shutil
import tarfile
import zipfile
from unicodedata import normalize

import pytest
from click import UsageError

from preprocess.classes import attributes_of
from preprocess.run import main as run_command
from preprocess.verify import main as verify_command
from tests.command import Command

run, verify = Command(run_command), Command(verify_command)


def classes(*ids):
    """The class of each photo by its id, of those whose attribute alone is 1."""
    names, rows, is_exclusive = attributes_of(ids)
    assert is_exclusive
    assert list(names) == sorted(names)
    assert all(sorted(row) == [0] * (len(names) - 1) + [1] for row in rows.values())
    return {photo_id: names[row.index(1)] for photo_id, row in rows.items()}


CATS_AND_DOGS = {"cats/0.jpg": "cats", "cats/tabby/0.jpg": "cats", "dogs/0.jpg": "dogs"}


@pytest.mark.parametrize(
    "above", ["", "train/", "photos/photos/", "PetImages.zip/PetImages/", "train/photos/", "Training_Set/training_set/"]
)
def test_the_first_folders_that_tell_photos_apart_are_classes(above):
    assert classes(*(above + path for path in CATS_AND_DOGS)) == {
        above + path: name for path, name in CATS_AND_DOGS.items()
    }


def test_folders_of_splits_are_no_classes():
    ids = [f"{split}/{path}" for split in ("train", "validation", "test") for path in CATS_AND_DOGS]
    assert set(classes(*ids).values()) == {"cats", "dogs"}
    assert set(classes("train/0.jpg", "plane/0.jpg").values()) == {"train", "plane"}


def test_names_are_as_they_are_typed():
    decomposed = normalize("NFD", "고양이")
    assert decomposed != "고양이"
    by_id = classes(f"{decomposed}/0.jpg", "고양이/1.jpg", "big dogs /0.jpg", "x=1/0.jpg")
    assert list(by_id.values()) == ["고양이", "고양이", "big dogs", "x=1"]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["cats/0.jpg", "cats/1.jpg"], "none tell photos such as 'cats/0.jpg' apart"),
        (["0.jpg", "1.jpg"], "none tell photos such as '0.jpg' apart"),
        ([f"{normalize(form, '고양이')}/0{form}.jpg" for form in ("NFC", "NFD")], "none tell photos such as"),
        (["train/0.jpg", "test/0.jpg"], "none tell photos such as 'train/0.jpg' apart"),
        (["cats/0.jpg", "cover.jpg", "dogs/0.jpg"], "the photo 'cover.jpg' lies beside the folders"),
        (["train/cats/0.jpg", "train/dogs/0.jpg", "test/1.jpg"], "the photo 'test/1.jpg' lies beside the folders"),
        (["cats, all/0.jpg", "dogs/0.jpg"], "cannot name the folder 'cats, all'"),
        ([" /0.jpg", "dogs/0.jpg"], "cannot name the folder ''"),
        ([f"{number}/0.jpg" for number in range(1001)], "there are 1,001 folders"),
    ],
)
def test_folders_that_make_no_attributes_are_one_sentence(ids, message):
    with pytest.raises(UsageError) as refusal:
        attributes_of(ids)
    assert message in refusal.value.message
    assert refusal.value.message.count(". ") == 0


@pytest.fixture(scope="module")
def pets(tmp_path_factory, jpeg):
    """Photos of the same names in two folders."""
    place = tmp_path_factory.mktemp("pets") / "photos"
    for seed, path in enumerate(("cats/0.jpg", "cats/1.jpg", "dogs/0.jpg")):
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(jpeg(seed, (20, 16)))
    return place


def sources_of(pets, place):
    """The same photos in other containers, by kind."""
    with zipfile.ZipFile(place / "pets.zip", "w") as archive, tarfile.open(place / "pets.tar", "w") as tar:
        for path in sorted(pets.rglob("*.jpg")):
            archive.write(path, f"pets/{path.relative_to(pets)}")
        tar.add(pets, "./")
    for name in ("cats", "dogs"):
        shutil.copytree(pets / name, place / f"my {name}" / name)
    return {"zip": ["pets.zip"], "tar": ["pets.tar"], "two folders": ["my cats", "my dogs"]}


MAKE = ("--attributes", "folders", "--crop", "center", "--size", 8, "--workers", 1)


def test_the_records_are_those_of_a_table_that_names_the_folders(pets, tmp_path):
    table, out = tmp_path / "labels.csv", tmp_path / "out"
    table.write_text("photo,cats,dogs\ncats/0.jpg,1,0\ncats/1.jpg,1,0\ndogs/0.jpg,0,1\n")
    run.succeeds("--source", pets, "--out", tmp_path / "listed", *MAKE[2:], "--attributes", table, "--ids", "path")
    expected = json.loads((tmp_path / "listed/manifest.json").read_text())
    assert "2 attributes in folders: cats, dogs." in run.succeeds("--source", pets, "--out", out, *MAKE)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["shards"] == expected["shards"]
    assert manifest["exclusive_attributes"] == manifest["attribute_names"] == ["cats", "dogs"]
    assert "exclusive_attributes" not in expected
    assert "is up to date" in run.succeeds("--source", pets, "--out", out, *MAKE)
    [shard] = out.glob("*.tfrecord")
    shard.unlink()
    verify.succeeds(out, "--repair", "--workers", 1)
    assert shard.read_bytes() == (tmp_path / "listed" / shard.name).read_bytes()


@pytest.mark.parametrize("kind", ["zip", "tar", "two folders"])
def test_archives_and_several_folders_have_classes(pets, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    named = [word for place in sources_of(pets, tmp_path)[kind] for word in ("--source", place)]
    assert "2 attributes in folders: cats, dogs." in run.succeeds(*named, "--out", "out", *MAKE)
    by_pattern = [named[0], *named[1::2]]  # as the shell hands it over
    assert "out is up to date" in run.succeeds(*by_pattern, "--out", "out", *MAKE)


def test_what_is_refused_leaves_nothing(pets, tmp_path):
    out = tmp_path / "out"
    assert "none tell photos" in run.is_refused("--source", pets / "cats", "--out", out, *MAKE)
    assert "needs --ids path" in run.is_refused("--source", pets, "--out", out, *MAKE, "--ids", "name")
    assert not out.exists()
