"""Workers that do their work, fail at it, die at it, and are left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from preprocess.workers.local import WorkerPool
from tests.preprocess.waiting import wait_until

# What workers are to do stands in a module of its own: they import it by name.
WORK = '''
import os, signal, time
import click

def square(n):
    return n * n

def fail(n):
    raise click.ClickException(f"no {n}")

def die_once(path):
    """Kill this worker, unless one died here before."""
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "lived"

def die(name):
    if name == "bad":
        os.kill(os.getpid(), signal.SIGKILL)
    return name

def interrupt(n):
    os.kill(os.getpid(), signal.SIGINT)
    return n

def wait(path):
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(60)
'''


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "work_of_workers.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path.cwd()}")
    import work_of_workers

    yield work_of_workers
    del sys.modules["work_of_workers"]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_every_task_is_answered(work):
    with WorkerPool(2) as pool:
        assert dict(pool.completed(work.square, range(20))) == {n: n * n for n in range(20)}


def test_what_a_task_raises_is_raised(work):
    with WorkerPool(1) as pool, pytest.raises(click.ClickException, match="no 7"):
        dict(pool.completed(work.fail, [7]))


def test_the_task_of_a_dead_worker_is_tried_again(work, tmp_path):
    tasks = [str(tmp_path / "died"), str(tmp_path / "died too")]
    with WorkerPool(2) as pool:
        assert dict(pool.completed(work.die_once, tasks)) == dict.fromkeys(tasks, "lived")


def test_a_task_that_takes_two_workers_along_is_named(work):
    with WorkerPool(2) as pool, pytest.raises(click.ClickException, match="died twice while making bad"):
        dict(pool.completed(work.die, ["good", "bad", "fine", "well"]))


def test_workers_end_with_the_block(work, tmp_path):
    started = tmp_path / "started"
    with pytest.raises(KeyboardInterrupt), WorkerPool(1) as pool:
        signal.signal(signal.SIGALRM, interrupt_when(started))
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        try:
            list(pool.completed(work.wait, [str(started)]))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    assert not is_running(int(started.read_text()))


def interrupt_when(path: Path):
    def interrupt(*_):
        if path.exists() and path.read_text():
            raise KeyboardInterrupt

    return interrupt


def test_workers_end_when_the_parent_is_killed(work, tmp_path):
    started = tmp_path / "started"
    program = tmp_path / "parent.py"
    program.write_text(
        "import work_of_workers\n"
        "from preprocess.workers.local import WorkerPool\n"
        "if __name__ == '__main__':\n"
        f"    with WorkerPool(2) as pool: list(pool.completed(work_of_workers.wait, [{str(started)!r}] * 2))\n"
    )
    parent = subprocess.Popen([sys.executable, str(program)])
    wait_until(lambda: started.exists() and len(started.read_text().split()) == 2)
    parent.kill()
    parent.wait()
    for pid in started.read_text().split():
        wait_until(lambda pid=pid: not is_running(int(pid)))


def test_ctrl_c_concerns_the_parent_alone(work):
    with WorkerPool(1) as pool:
        assert dict(pool.completed(work.interrupt, [1, 2])) == {1: 1, 2: 2}
