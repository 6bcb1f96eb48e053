"""Deaths of every shape at many moments, and two runs at once: real processes and real signals, nothing lost."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from system.lock import locked
from tests.command import started
from tests.preprocess.waiting import wait_until


@pytest.fixture(scope="module")
def small(photos, listed) -> list:
    """The arguments for many small shards, but for --out; settings are no defaults."""
    other_settings = ["--size", 128, "--color", "rgb", "--name", "faces"]
    return ["--source", photos.zip, *listed, "--shard-images", 1, "--workers", 2, *other_settings]


@pytest.fixture(scope="module")
def undisturbed(preprocess, small, tmp_path_factory, contents) -> dict[str, bytes]:
    """What a run that nothing happens to leaves in its folder."""
    out = tmp_path_factory.mktemp("undisturbed") / "data"
    assert preprocess(*small, "--out", out)[0] == 0
    return contents(out)


@pytest.fixture
def start(command):
    """Start the command in a session of its own, of which nothing may be left when the test ends."""
    started = []

    def begin(*arguments) -> subprocess.Popen:
        started.append(
            subprocess.Popen(
                command(*arguments),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
        return started[-1]

    yield begin
    for run in started:
        for pid in processes(run):
            os.kill(pid, signal.SIGKILL)
        run.communicate()


def processes(run: subprocess.Popen) -> dict[int, str]:
    """The command line of each process that the run has started, itself included, and that has not ended."""
    running = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) == run.pid and state != "Z":
                running[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return running


def finished_shards(out: Path) -> dict[str, tuple[int, int]]:
    """Each shard that need not be made again, with what would change if it were."""
    unfinished = out / ".unfinished"
    paths = [*out.glob("*.tfrecord"), *(path.with_suffix(".tfrecord") for path in unfinished.glob("*-of-*.json"))]
    shards = {}
    for path in paths:
        with suppress(FileNotFoundError):  # it is being published
            shards[path.name] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return shards


def kill_a_worker(run: subprocess.Popen) -> None:
    for pid in [pid for pid, line in processes(run).items() if "spawn_main" in line][:1]:
        os.kill(pid, signal.SIGKILL)


def to_all(number: int, times: int = 1) -> Callable[[subprocess.Popen], None]:
    """Return what sends a signal to the command and its workers, as a terminal does."""

    def send(run: subprocess.Popen) -> None:
        for _ in range(times):
            with suppress(ProcessLookupError):
                os.killpg(run.pid, number)

    return send


# With the exit status that shells see; the death of a worker is none of the command.
DEATHS = {
    subprocess.Popen.kill: -signal.SIGKILL,
    kill_a_worker: 0,
    to_all(signal.SIGKILL): -signal.SIGKILL,
    subprocess.Popen.terminate: 143,
    to_all(signal.SIGTERM): 143,
    to_all(signal.SIGINT): 130,
    to_all(signal.SIGHUP, times=2): 129,  # a closed terminal and its shell
}


@pytest.mark.parametrize("seed", range(2))
def test_after_any_deaths_the_same_command_ends_as_if_nothing_had_happened(
    start, preprocess, small, undisturbed, contents, tmp_path, seed
):
    rng = random.Random(seed)
    of_the_command = [death for death in DEATHS if death is not kill_a_worker]
    for death in [*rng.sample(of_the_command, 4), kill_a_worker]:
        before = finished_shards(tmp_path)
        # In its first moments; or while shards are made, or published if all are.
        is_early, done = rng.random() < 0.3, len(before) + rng.randrange(10)
        run = start(*small, "--out", tmp_path)
        if not is_early:
            wait_until(lambda run=run, done=done: len(finished_shards(tmp_path)) > done or run.poll() is not None)
        time.sleep(rng.random() * (0.7 if is_early else 0.01))
        with suppress(ProcessLookupError):  # it has ended
            death(run)
        output, _ = run.communicate(timeout=20)
        is_finished = (tmp_path / "manifest.json").exists()
        if not is_early and not is_finished:  # or it may have no answer to signals yet, or no more
            assert run.returncode == DEATHS[death]
            assert "Traceback" not in output
            assert ("the same command continues" in output) == (DEATHS[death] > 0)
        wait_until(lambda run=run: not processes(run), 10)
        assert before.items() <= finished_shards(tmp_path).items()
        assert not is_finished or contents(tmp_path).items() >= undisturbed.items()
    before = finished_shards(tmp_path)
    status, output = preprocess(*small, "--out", tmp_path)
    assert status == 0, output
    assert before.items() <= finished_shards(tmp_path).items()
    assert contents(tmp_path) == undisturbed


def test_the_second_of_two_runs_is_told_of_the_first(start, preprocess, small, undisturbed, contents, tmp_path):
    first = start(*small, "--out", tmp_path)
    wait_until(lambda: finished_shards(tmp_path))
    os.kill(first.pid, signal.SIGSTOP)
    began = time.monotonic()
    status, output = preprocess(*small, "--out", tmp_path, "--seed", 3, "--overwrite")
    assert time.monotonic() - began < 10
    assert status == 1
    assert f"{tmp_path} is in use by another run (process {first.pid} on {os.uname().nodename}, since 20" in output
    os.kill(first.pid, signal.SIGCONT)
    assert first.wait(timeout=30) == 0
    assert contents(tmp_path) == undisturbed


def test_of_two_runs_that_start_together_one_makes_the_shards(start, small, undisturbed, contents, tmp_path):
    runs = [start(*small, "--out", tmp_path / "data") for _ in range(2)]
    answers = [(run.communicate(timeout=30)[0], run.returncode) for run in runs]
    assert sorted(status for _, status in answers) in ([0, 1], [0, 0])
    assert all(status == 0 or "is in use by another run" in output for output, status in answers)
    assert contents(tmp_path / "data") == undisturbed


# Holds the folder again and again, and in it makes what there can be only one of.
HOLD_ON_AND_OFF = """
import sys, time
from pathlib import Path
import click
from system.lock import locked
folder, end, times = Path(sys.argv[1]), time.monotonic() + 1, 0
while time.monotonic() < end:
    try:
        with locked(folder):
            (folder / "mine").mkdir()
            (folder / "mine").rmdir()
            times += 1
    except click.ClickException:
        pass
print(times)
"""


def test_no_two_ever_hold_a_folder(tmp_path):
    holders = [
        subprocess.Popen([sys.executable, "-c", HOLD_ON_AND_OFF, tmp_path], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    times = [int(holder.communicate(timeout=20)[0] or 0) for holder in holders]
    assert [holder.returncode for holder in holders] == [0, 0, 0]
    assert min(times) > 0
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_another_run_is_no_obstacle_where_nothing_is_to_be_done(preprocess, small, undisturbed, tmp_path):
    for name, data in undisturbed.items():
        (tmp_path / name).write_bytes(data)
    with locked(tmp_path):
        status, output = preprocess(*small, "--out", tmp_path)
    assert status == 0, output
    assert f"{tmp_path} is up to date" in output


@pytest.mark.parametrize("seconds", [0.1, 0.2])
def test_ctrl_c_while_the_command_starts_shows_no_traceback(small, tmp_path, seconds):
    process = started("preprocess.run", *small, "--out", tmp_path / "out")
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode in (-signal.SIGINT, 130, 0), output
    assert "Traceback" not in output
    assert "Aborted" not in output
