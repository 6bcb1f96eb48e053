"""What no command can read or write is one message, before the work where that can be known."""

import os
import shutil

import pytest

from explore.directions.__main__ import main as directions_command
from explore.page.__main__ import main as page_command
from explore.walk import main as walk_command
from tests.command import Command
from tests.training.runs import SMALL, run, sample
from training.evaluate import main as evaluate_command

evaluate, directions = Command(evaluate_command), Command(directions_command)
page, walk = Command(page_command), Command(walk_command)


def test_a_name_that_is_no_text_is_refused(finished, tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    assert "is not UTF-8" in run.is_refused("--shards", finished[0] / "data", *SMALL, "--out", name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "suffix"), [(sample, ".png"), (walk, ".gif"), (page, ".html"), (evaluate, ".json")]
)
@pytest.mark.parametrize("folder", ["/proc", "none"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_drawn(finished, command, suffix, folder):
    shards = ["--shards", finished[0] / "data"] if command is evaluate else []
    message = command.is_refused("--run", finished[0] / "run", *shards, "--out", f"{folder}/faces{suffix}")
    assert "choose another" in message


def test_other_files_than_out_are_tried_too(finished, tmp_path):
    given = ["--run", finished[0] / "run", "--shards", finished[0] / "data", "--out", tmp_path / "scores.json"]
    message = evaluate.is_refused(*given, "--neighbours", f"{tmp_path}/{'a' * 250}.png")
    assert "File name too long): choose another path for --neighbours" in message
    shutil.copytree(finished[0] / "run", tmp_path / "run")
    (tmp_path / "run" / "directions.csv").mkdir()
    message = directions.is_refused("--run", tmp_path / "run", "--no-attributes")
    assert f"directions.csv is a folder: copy {tmp_path / 'run'} to where it can be" in message
