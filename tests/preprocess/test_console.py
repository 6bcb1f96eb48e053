"""Nobody reads the output, or it cannot be shown: the shards are made all the same."""

import os
import shlex
import subprocess

import pytest


@pytest.fixture
def in_a_shell(command, photos, listed):
    """Make shards by a line of a shell; return its exit status and what it printed."""

    def run(line: str, out, **environment: str) -> tuple[int, bytes]:
        same = ["--source", photos.zip, *listed, "--shard-images", 7, "--workers", 2, "--out", out]
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line.format(shlex.join(command(*same)))],
            capture_output=True,
            env={**os.environ, **environment},
            timeout=60,
            check=False,
        )
        assert b"Traceback" not in done.stderr
        assert b"Exception" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize("line", ["{} | head -c 1", "{} >&-", "{} <&- >&- 2>&-", "{} > /dev/full 2> /dev/full"])
def test_nobody_reads_what_it_prints(in_a_shell, shards, contents, tmp_path, line):
    status, _ = in_a_shell(line, tmp_path / "data")
    assert status == 0
    assert contents(tmp_path / "data") == contents(shards)


@pytest.mark.parametrize(("encoding", "name"), [("ascii", "사진"), ("utf-8", os.fsdecode(b"photos \xff"))])
def test_a_name_that_the_output_cannot_show(in_a_shell, shards, contents, tmp_path, encoding, name):
    status, printed = in_a_shell("{}", tmp_path / name, PYTHONIOENCODING=encoding)
    assert status == 0, printed
    assert contents(tmp_path / name) == contents(shards)
    assert b" shards in " in printed
