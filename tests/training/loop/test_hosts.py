"""Two processes on loopback under TF_CONFIG: one run between them."""

import csv
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress

import keras
import numpy as np
import pytest

from tests.training.runs import run
from tests.training.shards_by_tensorflow import numbered_images, write_shards

NARROW = ["--batch-size", 10, "--width", 0.25]
ANY = random.SystemRandom()  # other tests seed Python's own


def free_port():
    """One that the system gives to nobody who asks for any, as it might before the host that it is for has it."""
    while True:
        port = ANY.randrange(26_000, 32_000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def start(data, out, *options):
    """Start a process for each host, with shards of its own each."""
    addresses = [f"localhost:{free_port()}" for _ in data]
    processes = []
    for index, shards in enumerate(data):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        given = ["--shards", shards, *NARROW, "--out", out, *options]
        processes.append(python({"TF_CONFIG": json.dumps(task)}, "-m", "training.run", *given))
    return processes


def python(environment, *arguments):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment},
    )  # fmt: skip


def finish(processes, seconds=480):
    """What each printed, and its exit code: -9 for one that does not end, even on a busy machine."""
    ended = []
    for process in processes:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        ended.append((output, process.returncode))
    return ended


def losses(folder):
    with (folder / "history.csv").open(newline="") as file:
        return [[float(row["d_loss"]), float(row["g_loss"])] for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosts") / "data"
    write_shards(folder, numbered_images(60), (20, 20, 20))
    return folder


@pytest.fixture(scope="module")
def two(data):
    """The folder of a run of two hosts over two epochs, and what each printed."""
    out = data.parent / "two"
    ended = finish(start([data, data], out, "--epochs", 2))
    assert [code for _, code in ended] == [0, 0], ended
    return out, *(output for output, _ in ended)


def test_two_hosts_make_the_run_that_one_makes(data, two, tmp_path):
    out, first, second = two
    assert "Strategy multi-worker over CPU:0 of each of 2 hosts; batch 10, 5 per device." in first
    assert "epoch" not in second
    run.succeeds("--shards", data, *NARROW, "--strategy", "one", "--epochs", 2, "--out", tmp_path / "one")
    np.testing.assert_allclose(losses(out), losses(tmp_path / "one"), rtol=1e-4)
    assert len(losses(out)) == 2
    assert not list(out.glob(".partial*"))
    folders = (tmp_path / "one", out)
    generators = [keras.saving.load_model(folder / "generator.keras", compile=False) for folder in folders]
    for here, there in zip(*(generator.weights for generator in generators), strict=True):
        np.testing.assert_allclose(here, there, atol=2e-4)


def test_hosts_that_see_different_shards_are_refused(data, tmp_path):
    write_shards(tmp_path / "other", numbered_images(60), (30, 30))
    for output, code in finish(start([data, tmp_path / "other"], tmp_path / "run")):
        assert code == 2, output
        assert "hosts see different shards" in output
    assert not (tmp_path / "run").exists()


def test_two_hosts_continue_a_run_and_one_that_dies_ends_the_other_with_a_message(data, two, tmp_path):
    out = shutil.copytree(two[0], tmp_path / "run")
    survivor, victim = start([data, data], out, "--epochs", 100_000)
    deadline = time.monotonic() + 480
    while not (out / "samples" / "epoch-00004.png").exists():
        assert survivor.poll() is None, survivor.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    victim.kill()
    [(output, code), _] = finish([survivor, victim])
    assert code == 1
    assert "12 of 600,000 steps are done" in output
    assert "Another host" in output
    assert "Traceback" not in output
    epochs = len(losses(out)) + 1
    alone = ("--shards", data, *NARROW, "--strategy", "one", "--epochs", epochs, "--out", out)
    assert "Continuing from" in run.succeeds(*alone)
    assert len(losses(out)) == epochs


def test_hosts_go_back_together_and_give_up_together(data, tmp_path):
    options = ("--epochs", 100, "--lr-d", 1e30, "--on-nan", "rollback")
    ended = finish(start([data, data], tmp_path / "run", *options))
    for output, code in ended:
        assert code == 1, output
        assert "was rolled back 3 times already" in output
    assert ended[0][0].count("Returned to step-0") == 3
    assert (tmp_path / "run" / "checkpoints" / "step-0-rollback-3.index").exists()
    assert not list((tmp_path / "run").glob(".partial*"))


AGREE = """
import sys
import training
from training.loop import strategy
devices = strategy.choose("multi-worker")
mine = devices.host == 1
print([devices.any_host(mine), devices.any_host(False), devices.all_hosts(mine), devices.all_hosts(True),
       devices.same_on_all(5), devices.same_on_all(5 + mine), devices.least(3 + devices.host),
       devices.least(3 - devices.host), devices.same_on_all(2**47 + mine)])
"""


def cluster_of(*roles):
    cluster = {}
    for role, _ in roles:
        cluster.setdefault(role, []).append(f"localhost:{free_port()}")
    return [{"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": role, "index": n}})} for role, n in roles]


def slurm_step(tasks):
    node = {"SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_TASKS_PER_NODE": str(tasks)}
    step = {**node, "SLURM_STEP_NUM_TASKS": str(tasks), "SLURM_JOB_ID": str(ANY.randrange(10**6))}
    return [{**step, "SLURM_PROCID": str(task), "SLURM_LOCALID": str(task)} for task in range(tasks)]


@pytest.mark.parametrize(
    "hosts", [lambda: cluster_of(("chief", 0), ("worker", 0)), lambda: slurm_step(2)], ids=["TF_CONFIG", "SLURM"]
)
def test_hosts_agree_on_what_any_all_and_the_least_of_them_say(hosts):
    for output, code in finish([python(environment, "-c", AGREE) for environment in hosts()]):
        assert code == 0, output
        assert "[True, False, False, True, True, False, 3, 2, False]\n" in output
