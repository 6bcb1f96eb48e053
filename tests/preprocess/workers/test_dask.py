"""The command on a real scheduler and two real workers of Dask, which die, vanish, or were never there."""

import ctypes
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import click
import distributed
import psutil
import pytest

from preprocess import crop
from preprocess.sources import open_source
from preprocess.workers import dask as cluster
from preprocess.workers.dask import ClusterPool
from tests.bucket_server import Bucket, serving
from tests.bucket_server import environment as of_bucket
from tests.preprocess.waiting import wait_until

REPOSITORY = Path(__file__).parents[3]
PR_SET_PDEATHSIG = 1  # of Linux' prctl
OF_DASK = {
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
    # A scheduler that fetches a result from a worker which has died that moment tries to connect for 30 s.
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
}


WORKERS = 2


class Dask(NamedTuple):
    """A scheduler's address, and the process that watches over its workers."""

    address: str
    nanny: psutil.Popen
    bucket: Bucket  # what the workers' s3:// URLs lead to

    def kill_a_worker(self) -> None:
        """As a machine does that is out of memory. The nanny starts another."""
        next(child for child in self.nanny.children() if "spawn_main" in str(child.cmdline())).kill()


def die_with_parent() -> None:
    """Be killed when the process that started this one ends, be it by SIGKILL: no test can then leave one behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def running(folder: Path, *arguments, cwd: Path, variables: Mapping[str, str] = MappingProxyType({})):
    """A command of Dask, killed at the end with all its children."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (folder / f"{arguments[0]}.log").open("ab") as log:
        process = psutil.Popen(
            [sys.executable, "-m", "dask", *map(str, arguments), "--no-dashboard", "--host", "127.0.0.1"],
            stdout=log,
            stderr=log,
            cwd=cwd,
            env=environment | OF_DASK | variables,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@contextmanager
def scheduler(folder: Path):
    """A scheduler that runs where our package is not to be found: its address, and its process."""
    file = folder / "scheduler.json"
    with running(folder, "scheduler", "--port", 0, "--scheduler-file", file, cwd=folder) as process:
        wait_until(lambda: file.exists() and file.read_text().endswith("}"))
        yield json.loads(file.read_text())["address"], process


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dask")
    options = ("--nworkers", WORKERS, "--nthreads", 1, "--local-directory", folder)
    with scheduler(folder) as (address, _), serving() as bucket:
        variables = of_bucket(bucket)
        with running(folder, "worker", *options, address, cwd=REPOSITORY, variables=variables) as nanny:
            with distributed.Client(address) as client:
                client.wait_for_workers(WORKERS, 20)  # one that is killed while it starts takes the other with it
            yield Dask(address, nanny, bucket)


@pytest.fixture(autouse=True)
def bounded():
    """A wait that has no end fails its test. Afterwards there are logs again."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("this waits for ever"))
    signal.alarm(40)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def many(photos, listed) -> list:
    """Arguments that make a shard of each photo: forty, enough to die amid them; settings are no defaults."""
    other_settings = ["--size", 32, "--color", "rgb", "--name", "faces"]
    return ["--source", photos.zip, *listed, "--shard-images", 1, *other_settings]


@pytest.fixture(scope="module")
def expected(preprocess, many, contents, tmp_path_factory) -> dict[str, bytes]:
    """What processes of this machine make of the same arguments."""
    out = tmp_path_factory.mktemp("expected")
    assert preprocess(*many, "--out", out, "--workers", 2)[0] == 0
    return contents(out)


@pytest.fixture
def started(command, many, dask):
    """Start the command on the cluster, in a folder of its own; leave it when so many shards are there."""
    with ExitStack() as stack:

        def start(out: Path, done: int, address: str = dask.address) -> subprocess.Popen:
            process = stack.enter_context(
                subprocess.Popen(
                    command(*many, "--out", out.name, "--cluster", address),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    cwd=out.parent,
                    env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
                )
            )
            stack.callback(process.kill)
            wait_until(lambda: made(out) >= done or process.poll() is not None)
            return process

        yield start


def made(out: Path) -> int:
    return len(list((out / ".unfinished").glob("*-of-*.json")))


def test_a_worker_that_is_killed_costs_nothing_but_time(started, dask, expected, contents, tmp_path):
    process = started(tmp_path / "out", 2)
    dask.kill_a_worker()
    assert made(tmp_path / "out") in range(2, 40)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert output.splitlines()[1] == "40 photos make 40 shards."  # after the line of the attributes
    assert output.splitlines()[2].startswith("40 shards in out: ")
    assert len(output.splitlines()) == 3
    assert contents(tmp_path / "out") == expected


def test_stopped_it_leaves_at_once_and_the_same_command_continues(
    started, preprocess, many, dask, expected, contents, tmp_path
):
    out = tmp_path / "out"
    process = started(out, 5)
    process.terminate()
    output, _ = process.communicate(timeout=5)
    assert (process.returncode, output.splitlines()[-1]) == (
        143,
        "Stopped. Finished work is kept, and the same command continues.",
    )
    time.sleep(0.5)
    left = made(out)
    time.sleep(0.5)
    assert 5 <= made(out) == left < 40  # what was queued was taken back
    status, output = preprocess(*many, "--out", out, "--cluster", dask.address)
    assert status == 0, output
    assert f" 40 shards; {left} are done." in output
    assert contents(out) == expected


def test_each_worker_writes_to_the_bucket_by_itself(preprocess, many, dask, expected, monkeypatch):
    pytest.importorskip("obstore")
    for name, value in of_bucket(dask.bucket).items():
        monkeypatch.setenv(name, value)
    status, output = preprocess(*many, "--out", "s3://bucket/data", "--cluster", dask.address)
    assert status == 0, output
    assert dask.bucket.files("bucket/data") == {name: data for name, data in expected.items() if name != ".lock"}


def completed(address: str, work, *tasks) -> list:
    with ClusterPool(address) as pool:
        return list(pool.completed(work, tasks))


def test_a_task_that_kills_worker_after_worker_is_named(dask):
    with pytest.raises(click.ClickException, match=r"2 workers died, one after the other, while making 9\."):
        completed(dask.address, signal.raise_signal, int(signal.SIGKILL))


def test_what_fails_on_a_worker_names_the_machine(dask, tmp_path):
    with pytest.raises(click.ClickException, match=f"On {socket.gethostname()}: .*not shared does not exist") as raised:
        completed(dask.address, open_source, [tmp_path / "not shared"])
    assert raised.value.exit_code == 1


def test_workers_without_this_program_are_told_how_to_get_it(dask, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def work(task):\n    return task\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    with pytest.raises(click.ClickException, match=r"No module named 'only_here'.*start them in this folder"):
        completed(dask.address, only_here.work, 1)


def test_workers_that_would_make_other_pixels_are_refused(dask, monkeypatch):
    monkeypatch.setattr(crop, "versions", lambda: {"pillow": "0.1"})
    with pytest.raises(click.ClickException, match=r"its pixels could differ.*'0\.1'"):
        completed(dask.address, abs, -1)


def test_a_cluster_without_workers_or_with_a_frozen_scheduler_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_POLL_INTERVAL_S", 0.1)
    monkeypatch.setattr(cluster, "_WORKERS_TIMEOUT_S", 0.5)
    with scheduler(tmp_path) as (address, process), ClusterPool(address) as pool:
        with pytest.raises(click.ClickException, match=r"has had no workers for 0\.5 s.*python -m dask worker tcp"):
            list(pool.completed(abs, [-1]))
        monkeypatch.setattr(cluster, "_CONNECT_TIMEOUT_S", 0.5)
        process.suspend()
        with pytest.raises(click.ClickException, match=f"{address} is gone"):
            list(pool.completed(abs, [-1]))


def test_a_scheduler_that_is_lost_is_reported_in_one_line(started, tmp_path):
    with scheduler(tmp_path) as (address, process):
        command = started(tmp_path / "out", 0, address)
        wait_until((tmp_path / "out" / ".unfinished").exists)
        time.sleep(0.5)
        process.kill()
        output, _ = command.communicate(timeout=20)
    assert (command.returncode, output.splitlines()[1:]) == (
        1,
        [
            "40 photos make 40 shards.",
            f"Error: The scheduler at {address} is gone, or has dropped the work. Start it again. "
            "Finished work is kept, and the same command continues.",
        ],
    )


def test_another_version_of_dask_makes_no_noise(dask, monkeypatch, recwarn):
    of_this = distributed.versions.get_versions()
    monkeypatch.setattr(distributed.versions, "get_versions", lambda: of_this | {"packages": {"python": "2.7"}})
    assert completed(dask.address, abs, -1) == [(-1, 1)]
    assert not recwarn.list


def test_where_no_scheduler_answers_the_address_is_reported(monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(click.UsageError, match=f"No Dask scheduler answers at {address}: no answer for 0.5 s"):
            ClusterPool(address)
    with pytest.raises(click.UsageError, match=f"No Dask scheduler answers at {address}"):
        ClusterPool(address)


# The command, where an import of Dask is a failure.
WITHOUT_DASK = """
import sys
sys.modules["dask"] = sys.modules["distributed"] = None
from preprocess.run import main
if __name__ == "__main__":
    main()
"""


def test_nothing_of_dask_is_imported_without_cluster(many, tmp_path):
    def run(*arguments) -> subprocess.CompletedProcess:
        program = [sys.executable, "-c", WITHOUT_DASK, *map(str, (*many, "--limit", 2, *arguments))]
        return subprocess.run(program, stderr=subprocess.PIPE, text=True, timeout=30, check=False)

    assert run("--out", tmp_path / "out").returncode == 0
    done = run("--out", tmp_path / "other", "--cluster", "tcp://127.0.0.1:8786")
    assert done.returncode == 2
    assert "pip install -r requirements-cluster.txt" in done.stderr


def test_only_a_few_tasks_for_each_worker_are_ever_handed_out(dask):
    """All at once, those of 100 million photos would take gigabytes before the first is done."""
    taken = []

    def tasks():
        for number in range(200):
            taken.append(number)
            yield -number

    with ClusterPool(dask.address) as pool:
        for done, _ in enumerate(pool.completed(abs, tasks()), start=1):
            assert len(taken) - done < cluster._TASKS_PER_WORKER * WORKERS
    assert len(taken) == 200
