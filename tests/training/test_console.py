"""Nobody reads what a run prints, or its terminal is closed: what it trained is there."""

import os
import pty
import shlex
import signal
import subprocess
import sys
import time

from tests.training.runs import SMALL, history, stats


def command(data, out, epochs):
    parts = [sys.executable, "-m", "training.run", "--shards", data, *SMALL, "--epochs", epochs, "--out", out]
    return [*map(str, parts), "--status-seconds", "0"]


def test_a_run_goes_on_where_nobody_reads_what_it_prints(finished, tmp_path):
    given = shlex.join(command(finished[0] / "data", tmp_path / "run", 2))
    done = subprocess.run(["bash", "-c", f"{given} <&- >&- 2>&-"], timeout=240, check=False)
    assert done.returncode == 0
    assert history(tmp_path / "run") == history(finished[0] / "run")[:2]
    assert (tmp_path / "run" / "final.png").exists()


def test_a_run_whose_terminal_is_closed_saves_and_stops(finished, tmp_path):
    process, terminal = pty.fork()
    if not process:
        os.execv(sys.executable, command(finished[0] / "data", tmp_path / "run", 100_000))
    deadline = time.monotonic() + 240
    while not (tmp_path / "run" / "history.csv").exists():
        os.read(terminal, 4096)
        assert time.monotonic() < deadline
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 128 + signal.SIGHUP
    newest = max(stats(tmp_path / "run"), key=lambda status: status["step"])
    assert (tmp_path / "run" / "checkpoints" / f"step-{newest['step']}.index").exists()
