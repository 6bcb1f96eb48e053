"""Two processes on loopback under TF_CONFIG or SLURM's variables, also those of deploy/: one run between them."""

import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest

from tests.bucket_server import environment, serving
from tests.deployed import Started, of_kubernetes, of_slurm, put_programs
from tests.documents import ROOT
from tests.training.runs import losses, run, weights_in
from tests.training.shards_by_tensorflow import numbered_images, write_shards

NARROW = ["--batch-size", 10, "--width", 0.25, "--cache", "none"]
EPOCHS = 2
ANY = random.SystemRandom()  # other tests seed Python's own


def free_port():
    """One that the system gives to nobody who asks for any, as it might before the host that it is for has it."""
    while True:
        port = ANY.randrange(26_000, 32_000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


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


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosts") / "data"
    write_shards(folder, numbered_images(60), (20, 20, 20))
    return folder


# What hosts say they agree on, then runs of theirs: a process joins its hosts once, and starting it is what takes long.
AGREE_AND_RUN = """
import json, sys
import training
from training.loop import strategy
devices = strategy.choose("multi-worker")
mine = devices.host == 1
print([devices.any_host(mine), devices.any_host(False), devices.all_hosts(mine), devices.all_hosts(True),
       devices.same_on_all(5), devices.same_on_all(5 + mine), devices.least(3 + devices.host),
       devices.least(3 - devices.host), devices.same_on_all(2**47 + mine)])
strategy.choose = lambda *_: devices
from training.run import main
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as ended:
        print("exit status", ended.code, flush=True)
"""


@pytest.fixture(scope="module")
def two(data):
    """What each of two hosts, a chief and a worker, printed in three runs: refused, undisturbed, and failing.

    The undisturbed one reads a bucket on one of the hosts.
    """
    other, bucket_url = data.parent / "other", "s3://bucket/data"
    write_shards(other, numbered_images(60), (30, 30))
    runs = {
        "refused": ((data, other), ("--epochs", EPOCHS)),
        "undisturbed": ((data, bucket_url), ("--epochs", EPOCHS, "--shard-cache", data.parent / "cache")),
        "failing": ((data, data), ("--epochs", 100, "--lr-d", 1e30, "--on-nan", "rollback")),
    }
    cluster = {role: [f"localhost:{free_port()}"] for role in ("chief", "worker")}
    with serving() as bucket:
        bucket.objects = {f"bucket/data/{path.name}": path.read_bytes() for path in data.iterdir()}
        processes = []
        for host, role in enumerate(cluster):
            task = {"cluster": cluster, "task": {"type": role, "index": 0}}
            given = [
                [*map(str, ("--shards", shards[host], *NARROW, "--out", data.parent / name, *options))]
                for name, (shards, options) in runs.items()
            ]
            settings = {"TF_CONFIG": json.dumps(task), **environment(bucket)}
            processes.append(python(settings, "-c", AGREE_AND_RUN, json.dumps(given)))
        ended = finish(processes)
    printed = []
    for output, code in ended:
        *parts, rest = re.split(r"exit status (\d+)\n", output)
        assert (parts[1::2], rest, code) == (["2", "0", "1"], "", 0), ended
        printed.append(dict(zip(runs, parts[::2], strict=True)))
    return printed


def test_hosts_agree_on_what_they_say_and_are_refused_where_they_see_different_shards(data, two):
    for printed in two:
        assert "[True, False, False, True, True, False, 3, 2, False]\n" in printed["refused"]
        assert "hosts see different shards" in printed["refused"]
    assert not (data.parent / "refused").exists()


def test_two_hosts_make_the_run_that_one_makes(data, two, tmp_path):
    first, second = (printed["undisturbed"] for printed in two)
    out = data.parent / "undisturbed"
    assert "Strategy multi-worker over CPU:0 of each of 2 hosts; batch 10, 5 per device." in first
    assert "epoch" not in second
    run.succeeds("--shards", data, *NARROW, "--strategy", "one", "--epochs", EPOCHS, "--out", tmp_path / "one")
    np.testing.assert_allclose(losses(out), losses(tmp_path / "one"), rtol=1e-4)
    assert len(losses(out)) == EPOCHS
    assert not list(out.glob(".partial*"))
    for here, there in zip(weights_in(out), weights_in(tmp_path / "one"), strict=True):
        np.testing.assert_allclose(here, there, atol=2e-4)


def start_deployed(place, tasks):
    """Start tasks of deploy/ in a clone at `place`, whose Python adds the options of a small network."""
    options = " ".join(map(str, ["--preset", "classic", *NARROW, "--epochs", EPOCHS, "--save-kimg", 0.03]))
    path = put_programs(place, python=f'exec "{sys.executable}" "$@" {options}')
    return [
        subprocess.Popen(
            [word.replace("/shared", str(place)) for word in task.command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=place,
            env={**os.environ, **task.environment, **path, "PYTHONPATH": str(ROOT)},
        )
        for task in tasks
    ]


def pods():
    """Those of deploy/train.yaml, on this machine."""
    ports = {f"faces-{index}.faces:12345": f"localhost:{free_port()}" for index in range(2)}
    for index in range(2):
        pod = of_kubernetes("train.yaml", index)
        for theirs, ours in ports.items():
            pod.environment["TF_CONFIG"] = pod.environment["TF_CONFIG"].replace(theirs, ours)
        yield pod


def steps():
    """Those of deploy/train.sbatch, on this machine."""
    job = str(ANY.randrange(10**6))
    for task in range(2):
        step = of_slurm("train.sbatch", task, nodes="localhost")
        yield Started(step.command, step.environment | {"SLURM_JOB_ID": job})


def test_a_host_that_dies_ends_the_other_with_a_message_and_started_again_they_end_as_if_nothing_had_happened(
    data, two, tmp_path
):
    """Under the environments of deploy/: those of Kubernetes first, then those of SLURM."""
    (tmp_path / "data").symlink_to(data)
    out = tmp_path / "runs/r3gan"
    survivor, victim = start_deployed(tmp_path, pods())
    deadline = time.monotonic() + 480
    while not list(out.glob("checkpoints/step-*.index")):
        assert survivor.poll() is None, survivor.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    victim.kill()
    [(output, code), _] = finish([survivor, victim])
    assert code == 1, output
    assert "Another host" in output
    assert "Traceback" not in output
    again = finish(start_deployed(tmp_path, steps()))
    assert [code for _, code in again] == [0, 0], again
    assert f" of {6 * EPOCHS} steps are done" in again[0][0]
    assert losses(out) == losses(data.parent / "undisturbed")
    np.testing.assert_equal(weights_in(out), weights_in(data.parent / "undisturbed"))


def test_hosts_go_back_together_and_give_up_together(data, two):
    out = data.parent / "failing"
    assert all("was rolled back 3 times already" in printed["failing"] for printed in two), two
    assert two[0]["failing"].count("Returned to step-0") == 3
    assert (out / "checkpoints" / "step-0-rollback-3.index").exists()
    assert not list(out.glob(".partial*"))
