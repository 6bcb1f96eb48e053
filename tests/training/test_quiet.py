"""In a process of its own: what the block hides is the file descriptor, not Python's stream."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from training.quiet import startup_messages_hidden
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
