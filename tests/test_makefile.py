"""What `make` would do, as `make --dry-run` says."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def place(tmp_path):
    """A folder as after a clone."""
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "data").mkdir()
    return tmp_path


def would_do(place, *arguments):
    settings = {"PATH": os.environ["PATH"]}  # none of the `make test` that may be running this
    command = ["make", "--dry-run", *arguments]
    return subprocess.run(
        command, cwd=place, env=settings, check=True, capture_output=True, text=True, timeout=60
    ).stdout


def shards_from(place, photos):
    (place / "data/manifest.json").write_text(json.dumps({"source": {"paths": [photos]}}))


def test_without_photos_and_shards_stand_ins_are_drawn(place):
    said = would_do(place, "train")
    assert "preprocess.sample_photos --out data/sample_photos" in said
    assert '--source "data/sample_photos/img_align_celeba" --out "data"' in said
    assert '--out "runs/classic-sample_photos"' in said


def test_shards_that_are_there_are_never_replaced_by_stand_ins(place):
    shards_from(place, "/photos/img_align_celeba.zip")
    said = would_do(place, "train", "PRESET=lite")
    assert "preprocess" not in said
    assert "made from /photos/img_align_celeba.zip" in said
    assert '--out "runs/lite-img_align_celeba"' in said


def test_a_run_on_stand_ins_is_continued_where_it_was(place):
    shards_from(place, "data/sample_photos/img_align_celeba")
    said = would_do(place, "train")
    assert "preprocess" not in said
    assert '--out "runs/classic-sample_photos"' in said


def test_options_of_stage_1_are_handed_on(place):
    said = would_do(place, "shards", "CELEBA=own_photos", "SHARD_ARGS=--crop center --limit 100")
    assert "--attributes auto --partitions auto --crop center --limit 100" in " ".join(said.replace("\\\n", "").split())


@pytest.mark.parametrize("named", [True, False])
def test_photos_that_are_named_or_in_their_place_are_taken_whatever_shards_there_are(place, named):
    shards_from(place, "data/sample_photos/img_align_celeba")
    (place / "data/img_align_celeba.zip").touch()
    said = would_do(place, "train", *(["CELEBA=data/img_align_celeba.zip"] if named else []))
    assert '--source "data/img_align_celeba.zip" --out "data" --overwrite' in said
    assert '--out "runs/classic-img_align_celeba"' in said
