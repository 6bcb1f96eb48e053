import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from preprocess.annotations import read_attributes, read_partitions
from preprocess.drawn_face import draw, random_face
from preprocess.sample_photos import NAMES, attribute_list, draw_photos, face_of, main

EYES, MIDDLE, MOUTH = ((69, 111), (108, 111)), 88.5, 152  # where CelebA's alignment puts them
COUNT = 30  # more than a batch, so that two workers draw

NAMES_OF_CELEBA = (
    "b1336d224fff3e0bb8fd906e934c3457bdd7e41ea6bb39c75032c34355cc17d8"  # sha256 of the second line of the official list
)


def run(out, count=COUNT, seed=0):
    return CliRunner().invoke(main, ["--out", str(out), "--count", str(count), "--seed", str(seed)])


def grey(face):
    return np.asarray(draw(face).convert("L"), dtype=float)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp("drawn") / "photos"
    command = [sys.executable, "-m", "preprocess.sample_photos", "--out", str(out), "--count", str(COUNT)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert result.stdout.count("\n") == 1
    assert str(out) in result.stdout
    assert result.stderr == ""  # no bar where there is no terminal
    return out


def test_the_folder_is_laid_out_as_celeba(drawn):
    photos = sorted((drawn / "img_align_celeba").iterdir())
    assert [photo.name for photo in photos] == [f"{number:06d}.jpg" for number in range(1, COUNT + 1)]
    for photo in photos:
        with Image.open(photo) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (178, 218), "RGB")


def test_the_attribute_list_is_celebas_and_true_to_the_photos(drawn):
    lines = (drawn / "list_attr_celeba.txt").read_text().splitlines()
    assert lines[0] == str(COUNT)
    assert hashlib.sha256(lines[1].encode()).hexdigest() == NAMES_OF_CELEBA
    ids = [f"{number:06d}.jpg" for number in range(1, COUNT + 1)]
    listed = read_attributes(drawn / "list_attr_celeba.txt", ids)
    assert list(listed.rows) == ids
    for number, photo_id in enumerate(ids, 1):
        true = {name for name, bit in zip(listed.names, listed.rows[photo_id], strict=True) if bit}
        assert true == face_of(0, number).attributes


def test_the_partitions_are_contiguous(drawn):
    ids = [f"{number:06d}.jpg" for number in range(1, COUNT + 1)]
    splits = read_partitions(drawn / "list_eval_partition.txt", ids)
    assert list(splits.values()) == ["train"] * 24 + ["valid"] * 3 + ["test"] * 3


def test_a_photo_depends_on_its_seed_and_number_alone(drawn, tmp_path, contents):
    draw_photos(tmp_path, 0, (17, 3))
    assert all((drawn / "img_align_celeba" / name).read_bytes() == data for name, data in contents(tmp_path).items())
    assert sorted(contents(tmp_path)) == ["000003.jpg", "000017.jpg"]
    other = tmp_path / "other"
    other.mkdir()
    draw_photos(other, 1, (3, 17))
    assert not set(contents(other).values()) & set(contents(drawn).values())


def test_what_is_missing_is_drawn_again_and_nothing_else(drawn, tmp_path, contents):
    out = shutil.copytree(drawn, tmp_path / "photos")
    whole = contents(drawn)
    kept = out / "img_align_celeba" / "000001.jpg"
    kept.write_bytes(b"as it was")
    (out / "img_align_celeba" / "000002.jpg").unlink()
    (out / "img_align_celeba" / "000003.jpg").write_bytes(b"")
    (out / "img_align_celeba" / "000003.part").write_bytes(b"half a pho")
    (out / "list_attr_celeba.txt").unlink()
    assert run(out).exit_code == 0
    assert contents(out) == whole | {"img_align_celeba/000001.jpg": b"as it was"}
    (out / "list_eval_partition.txt").unlink()
    assert run(out).exit_code == 0
    assert contents(out) == whole | {"img_align_celeba/000001.jpg": b"as it was"}


def test_a_whole_folder_is_left_alone(drawn):
    before = {path: path.stat().st_mtime_ns for path in drawn.rglob("*")}
    result = run(drawn)
    assert (result.exit_code, result.output.count("\n")) == (0, 1)
    assert "Nothing to do" in result.output
    assert {path: path.stat().st_mtime_ns for path in drawn.rglob("*")} == before


@pytest.mark.parametrize(("count", "seed"), [(COUNT + 1, 0), (COUNT, 1)])
def test_a_folder_of_other_photos_is_refused(drawn, count, seed, contents):
    before = contents(drawn)
    result = run(drawn, count, seed)
    assert result.exit_code == click.UsageError.exit_code == 2
    assert f"{drawn} is for {COUNT} photos of seed 0" in result.output
    assert contents(drawn) == before


@pytest.mark.parametrize("record", [None, "not JSON", "[1]", json.dumps({"made by": "somebody else"})])
def test_a_foreign_folder_is_refused(tmp_path, record, contents):
    (tmp_path / "img_align_celeba").mkdir()
    (tmp_path / "img_align_celeba" / "000001.jpg").write_bytes(b"a real photo")
    if record:
        (tmp_path / "sample_photos.json").write_text(record)
    before = contents(tmp_path)
    result = run(tmp_path)
    assert result.exit_code == 2
    assert f"{tmp_path} holds other things" in result.output
    assert contents(tmp_path) == before


def test_no_two_faces_are_alike():
    photos = np.stack([grey(face_of(0, number))[60:180:4, 40:140:4] for number in range(1, 61)])
    apart = np.abs(photos[:, None] - photos[None]).mean((2, 3))
    assert apart[~np.eye(60, dtype=bool)].min() > 8  # grey levels


def test_eyes_and_mouth_are_where_celeba_has_them():
    faces = [face_of(0, number) for number in range(1, 81)]
    faces = [face for face in faces if not face.has("Eyeglasses", "Blurry", "Mustache", "Goatee", "5_o_Clock_Shadow")]
    photos = np.stack([grey(face) for face in faces])
    for x, y in EYES:
        across = slice(x - 8, x + 9)
        eye, cheek = photos[:, y - 4 : y + 4, across], photos[:, 124:130, across]
        # An eye has the dark of pupil and lashes and the white beside it; a cheek has neither.
        assert (eye.min((1, 2)) < 0.7 * cheek.mean((1, 2))).all()
        assert (np.ptp(eye, axis=(1, 2)) > 1.5 * np.ptp(cheek, axis=(1, 2))).mean() > 0.9
    # On the mean face, an eye and the line of a closed mouth are the darkest rows of their surroundings.
    mean, closed = photos.mean(0), photos[[not face.has("Mouth_Slightly_Open") for face in faces]].mean(0)
    for photo, x, y, reach in [(mean, *EYES[0], 10), (mean, *EYES[1], 10), (closed, MIDDLE, MOUTH, 6)]:
        rows = photo[y - reach : y + reach + 1, int(x) - 3 : int(x) + 4].mean(1)
        assert abs(rows.argmin() - reach) <= 2
    for x, y in EYES:
        assert abs(mean[y - 2 : y + 3, x - 10 : x + 11].mean(0).argmin() - 10) <= 2


@pytest.mark.parametrize(
    "name", ["Eyeglasses", "Wearing_Hat", "Smiling", "Mouth_Slightly_Open", "Bald", "Male", "Bangs"]
)
def test_an_attribute_is_true_of_some_and_false_of_others(name):
    assert 3 <= sum(name in face_of(0, number).attributes for number in range(1, 201)) <= 150


@pytest.mark.parametrize(
    ("name", "drawn_at"),
    [
        ("Eyeglasses", (104, 122, 50, 127)),
        ("Wearing_Hat", (30, 80, 50, 127)),
        ("Mustache", (140, 152, 70, 107)),
        ("Wearing_Earrings", (132, 150, 25, 153)),
        ("Mouth_Slightly_Open", (146, 166, 75, 102)),
    ],
)
def test_what_an_attribute_names_is_visible(name, drawn_at):
    top, bottom, left, right = drawn_at
    faces = [face for face in (random_face(f"5:{number}") for number in range(300)) if face.has(name)]
    for face in faces[:5]:
        bare = dataclasses.replace(face, attributes=face.attributes - {name})
        changed = np.abs(grey(face) - grey(bare))
        assert changed[top:bottom, left:right].max() > 40  # grey levels
        assert changed[200:].max() < 5


def test_only_celebas_names_are_used():
    lines = attribute_list(0, 300).splitlines()[2:]
    drawn = set().union(*(face_of(0, number).attributes for number in range(1, 301)))
    assert drawn <= set(NAMES)
    assert len(drawn) >= 20
    assert all(len(line.split()) == 41 for line in lines)
