"""In a process of its own: what the block hides is the file descriptor, not Python's stream."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from training.command import startup_messages_hidden
sys.stderr.write("before, ")  # not flushed: it must not end among what is hidden
with startup_messages_hidden():
    os.write(2, b"hidden, ")
    {inside}
os.write(2, b"after")
"""


@pytest.mark.parametrize(
    ("inside", "shown"),
    [("pass", "before, after"), ("sys.exit(3)", "before, hidden, ")],
    ids=["succeeds", "fails"],
)
def test_messages_are_hidden_unless_the_block_fails(inside, shown):
    ended = subprocess.run([sys.executable, "-c", PROGRAM.format(inside=inside)], capture_output=True, text=True)
    assert ended.stderr == shown
    assert ended.stdout == ""
    assert ended.returncode == (0 if inside == "pass" else 3)


def test_nothing_is_hidden_where_no_folder_takes_temporary_files(tmp_path):
    program = f"import tempfile; tempfile.tempdir = {str(tmp_path / 'nowhere')!r}\n" + PROGRAM.format(inside="pass")
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.stderr, ended.returncode) == ("before, hidden, after", 0)


def test_a_closed_stderr_is_no_error():
    program = "from training.command import startup_messages_hidden\nwith startup_messages_hidden(): print('done')"
    closed = 'exec "$0" "$@" 2>&-'
    ended = subprocess.run(["sh", "-c", closed, sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.stdout, ended.returncode) == ("done\n", 0)


def test_a_message_for_the_user_comes_alone():
    refused = PROGRAM.format(inside="raise __import__('click').UsageError('refused')")
    ended = subprocess.run([sys.executable, "-c", refused], capture_output=True, text=True)
    assert "hidden" not in ended.stderr.partition("Traceback")[0]


def test_a_library_that_finds_no_folder_to_write_to_says_so_in_a_sentence(tmp_path):
    nowhere = str(tmp_path / "file" / "folder")
    (tmp_path / "file").touch()
    program = f"import click, tempfile; tempfile.tempdir = {nowhere!r}\n" + PROGRAM.format(inside="import matplotlib")
    ended = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "HOME": nowhere, "MPLCONFIGDIR": nowhere},
        capture_output=True, text=True,
    )  # fmt: skip
    assert "click.exceptions.ClickException: Matplotlib requires access to a writable" in ended.stderr
