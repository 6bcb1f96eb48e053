"""One run at a time in a folder, whatever its file system can do."""

import os
import re
import socket

import click
import pytest

from preprocess.lock import locked


def test_a_second_run_is_told_who_is_there(tmp_path):
    folder = tmp_path / "a/b"
    with locked(folder):
        assert folder.is_dir()
        with pytest.raises(click.ClickException) as refused, locked(folder):
            raise AssertionError("both are in there")
        holder = re.search(r"\((.*)\)", refused.value.message)[1]
        assert re.fullmatch(rf"process {os.getpid()} on {socket.gethostname()}, since [\d-]+ [\d:]+[+-][\d:]+", holder)
        assert "remove" not in refused.value.message, "the system knows that the holder is alive"
    assert not folder.exists(), "nothing was written: what the lock made is gone"


def test_a_run_comes_in_after_another_and_leaves_what_was_written(tmp_path):
    for name in ("first", "second"):
        with locked(tmp_path / "out"):
            (tmp_path / "out" / name).touch()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lock", "first", "second"]
