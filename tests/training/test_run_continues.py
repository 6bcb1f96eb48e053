"""A run that was ended goes on where it was, whatever ended it; one that has nothing begins again."""

import random
import shutil
import signal
import time

import numpy as np
import pytest

from tests.command import started
from tests.training.runs import SMALL, history, losses, run, scores, stats, weights_in


def start(data, out, epochs, *options):
    return started("training.run", "--shards", data, *SMALL, "--epochs", epochs, "--out", out, *options)


def wait_for(path, process):
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def shorter(finished, tmp_path):
    """The finished run as it was after the first of its three epochs; what it recorded later, a run drops itself."""
    folder = shutil.copytree(finished[0] / "run", tmp_path / "run")
    later = [*folder.glob("checkpoints/step-12.*"), *folder.glob("checkpoints/step-18.*"), *folder.glob("*.keras")]
    for path in later:
        path.unlink()
    return folder


def test_a_longer_run_goes_on_where_the_shorter_one_ended(finished, shorter):
    output = run.succeeds("--shards", finished[0] / "data", *SMALL, "--epochs", 3, "--out", shorter)
    assert "Continuing from" in output
    assert "6 of 18 steps are done" in output
    assert history(shorter) == history(finished[0] / "run")
    np.testing.assert_equal(weights_in(shorter), weights_in(finished[0] / "run"))


def test_a_run_that_is_killed_again_and_again_ends_bit_for_bit_as_an_undisturbed_one(finished, tmp_path):
    moments = random.Random(0)
    options = ("--metrics", "swd", "--metrics-kimg", 0.04)
    options += ("--augment", "contrast", "--augment-target", 0.5, "--augment-kimg", 0.2)
    # So that deaths come inside of saves, scores and marks of the best too.
    saving_always = ("--deterministic", "--save-minutes", 0, "--save-kimg", 0.02, *options)
    for death in ("samples/epoch-00001.png", "checkpoints/step-10.index"):
        process = start(finished[0] / "data", tmp_path / "killed", 2, *saving_always)
        reached = tmp_path / "killed" / death
        assert not reached.exists()
        wait_for(reached, process)
        time.sleep(moments.uniform(0, 0.1))
        process.kill()
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    process = start(finished[0] / "data", killed, 2, *saving_always)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert "Continuing from" in output
    run.succeeds("--shards", finished[0] / "data", *SMALL, "--epochs", 2, "--out", undisturbed, *options)
    assert history(killed) == history(undisturbed)
    assert len(history(killed)) == 2
    assert any(float(line["augment_probability"]) for line in history(killed)), "it adapts"
    for name in ("generator", "generator-best"):
        np.testing.assert_equal(weights_in(killed, name), weights_in(undisturbed, name))
    assert (killed / "metrics.csv").read_text() == (undisturbed / "metrics.csv").read_text()
    assert [int(row["step"]) for row in scores(killed)] == [4, 8, 12]
    assert (killed / "checkpoints" / "best").read_text() == (undisturbed / "checkpoints" / "best").read_text()
    steps = [line["step"] for line in stats(killed)]
    assert steps == sorted(set(steps))
    assert not list(killed.glob("**/*partial*")), "leftovers of deaths are cleared"


def test_a_run_goes_on_over_another_number_of_devices(finished, shorter):
    process = start(finished[0] / "data", shorter, 3, "--strategy", "auto", "--devices", 2)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert "Strategy mirrored over CPU:0, CPU:1; batch 10, 5 per device." in output
    assert "6 of 18 steps are done" in output
    np.testing.assert_allclose(losses(shorter), losses(finished[0] / "run"), rtol=1e-4)


def test_a_folder_in_use_is_refused_with_its_holder_and_a_signal_saves_and_frees_it(finished, tmp_path):
    folder = tmp_path / "run"
    process = start(finished[0] / "data", folder, 100_000)
    wait_for(folder / "history.csv", process)
    process.send_signal(signal.SIGSTOP)  # it would compute meanwhile
    result = run("--shards", finished[0] / "data", *SMALL, "--out", folder)
    assert result.exit_code == 1
    assert f"{folder} is in use by another run (process {process.pid} on " in result.output
    run.succeeds("--shards", finished[0] / "data", *SMALL, "--dry-run", "--out", folder)
    process.send_signal(signal.SIGCONT)
    stop(process, signal.SIGTERM, folder)
    following = len(history(folder)) + 1
    process = start(finished[0] / "data", folder, 100_000)
    wait_for(folder / "samples" / f"epoch-{following:05d}.png", process)
    assert "Continuing from" in stop(process, signal.SIGINT, folder)


def stop(process, number, folder):
    """Stop a run by a signal: it says how it goes on. Return what it printed."""
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"--out {folder} continues" in output
    assert "Traceback" not in output
    return output


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_what_was_good(finished, tmp_path):
    result = run("--shards", finished[0] / "data", *SMALL, "--lr-d", 1e38, "--epochs", 3, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "no longer finite" in result.output
    assert "--clip-norm" in result.output
    assert not (tmp_path / "run" / "final.png").exists()
    # It has saved nothing, so it may begin again with what the message says to try.
    run.succeeds("--shards", finished[0] / "data", *SMALL, "--lr-d", 1e-4, "--epochs", 1, "--out", tmp_path / "run")
