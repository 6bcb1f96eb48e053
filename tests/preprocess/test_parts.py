"""Shards made in parts: by runs that know nothing of each other but the folder."""

import json
import shutil
import subprocess

import click
import pytest

from preprocess.options import PartType
from preprocess.plan import Part
from tests.preprocess.waiting import wait_until


@pytest.fixture
def same(photos, listed) -> list:
    """The arguments that made the folder `shards`, but for --out."""
    return ["--source", photos.zip, *listed, "--shard-images", 7, "--workers", 1]


def test_parts_at_once_of_which_one_is_killed_end_as_one_run_does(
    command, preprocess, same, shards, contents, tmp_path
):
    same += ["--out", tmp_path / "data"]
    runs = {
        number: subprocess.Popen(command(*same, "--part", f"{number}/4"), stdout=subprocess.PIPE, text=True)
        for number in (3, 1, 4)
    }
    wait_until((tmp_path / "data/.unfinished/in-parts").exists)
    runs[3].kill()
    for number, run in runs.items():
        run.communicate(timeout=30)
        assert number == 3 or run.returncode == 0
    status, output = preprocess(*same, "--part", "1/4")  # finished already
    assert status == 0, output
    missing = "2, 3" if runs[3].returncode else "2"
    assert output.splitlines()[-1] == (
        f"Part 1 of 4 is finished. Not finished yet: {missing}. The last one publishes the shards. "
        "If one is not running: the same command with --part 2/4."
    )
    assert not list((tmp_path / "data").glob("*.tfrecord"))
    assert preprocess(*same, "--part", "3/4")[0] == 0
    twice = [subprocess.Popen(command(*same, "--part", "2/4"), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for run in twice:  # one publishes while the other may be writing the same shards
        assert "Next: python -m training.run" in run.communicate(timeout=30)[0]
        assert run.returncode == 0
    assert contents(tmp_path / "data") == contents(shards)
    assert "is up to date" in preprocess(*same, "--part", "4/4")[1]


def test_others_are_refused_while_parts_are_made_and_a_run_of_all_finishes_them(
    preprocess, same, shards, contents, tmp_path
):
    same += ["--out", tmp_path / "data"]
    assert preprocess(*same, "--part", "1/2")[0] == 0
    left = contents(tmp_path / "data")
    for other in (["--part", "2/2"], ["--overwrite"]):
        status, output = preprocess(*same, "--seed", 3, *other)
        assert status == 2
        assert "settings.seed: 0 -> 3" in output
        assert f"remove {tmp_path}/data/.unfinished" in output
    assert contents(tmp_path / "data") == left
    assert preprocess(*same)[0] == 0
    assert contents(tmp_path / "data") == contents(shards)


def test_too_many_rejected_photos_are_counted_over_all_parts(preprocess, same, photos, tmp_path):
    folder = shutil.copytree(photos.folder, tmp_path / "photos")
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(b"")
    given = ["--source", folder, "--out", tmp_path / "data", "--shard-images", 20, "--workers", 1]
    assert preprocess(*given, "--part", "2/2")[0] == 0
    status, output = preprocess(*given, "--part", "1/2")
    assert status == 1
    assert "2 of 42 photos cannot be used" in output
    assert preprocess(*given, "--part", "1/2", "--max-rejected", 0.1)[0] == 0
    assert json.loads((tmp_path / "data/manifest.json").read_text())["rejected"] == {"empty file": 2}


def test_parts_are_counted_from_one():
    assert PartType().convert("3/16", None, None) == Part(3, 16)
    for text in ("0/4", "5/4", "3", "1/0", "-1/4"):
        with pytest.raises(click.BadParameter, match="is not a part, such as 3/16"):
            PartType().convert(text, None, None)
