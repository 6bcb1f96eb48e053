"""Ctrl-C at any moment of a command's start: no traceback, and no lock left behind."""

import signal
import time

import pytest

from tests.command import started


@pytest.mark.parametrize("seconds", [0.4, 4.0])
def test_a_run_that_is_stopped_while_it_starts_shows_no_traceback(shard_folder, tmp_path, seconds):
    run = ["--shards", shard_folder, "--batch-size", 10, "--epochs", 100_000, "--out", tmp_path / "out"]
    process = started("training.run", *run)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode in (-signal.SIGINT, 130), output
    assert "Traceback" not in output
    assert "Aborted" not in output
    assert not (tmp_path / "out" / ".lock.holder").exists()
