"""The commands as a user types them, on small shards."""

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tests.command import Command
from tests.training.shards_by_tensorflow import numbered_images, write_shards
from training.run import main as run_command
from training.sample import main as sample_command

ROOT = Path(__file__).parents[2]
SMALL = ["--batch-size", "10", "--strategy", "one"]


run, sample = Command(run_command), Command(sample_command)


def history(folder):
    with (folder / "history.csv").open(newline="") as file:
        return [{**line, "seconds": None} for line in csv.DictReader(file)]


def scores(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def stats(folder):
    return [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]


def final_weights(folder, which=None):
    name = f"generator-{which}.keras" if which else "generator.keras"
    return [w.numpy() for w in keras.saving.load_model(folder / name, compile=False).weights]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Shards, a run of three epochs on them, and what it printed."""
    place = tmp_path_factory.mktemp("finished")
    write_shards(place / "data", numbered_images(60), (20, 20, 20))
    write_shards(place / "data", numbered_images(20), (20,), split="valid")
    output = run.succeeds(
        "--shards", *sorted((place / "data").glob("*.tfrecord")), *SMALL, "--epochs", 3, "--out", place / "run"
    )
    return place, output


def test_the_first_lines_say_what_the_run_is(finished):
    _, output = finished
    assert "18 steps, 3 epochs" in output
    assert "Training on 60 photos (train); kept for evaluation: 20 valid." in output
    assert "Decoded photos are kept in memory" in output
    assert "batch 10, 10 per device" in output


def test_a_run_folder_holds_everything(finished):
    folder = finished[0] / "run"
    config = json.loads((folder / "config.json").read_text())
    assert (config["preset"], config["photos"], config["batch_size"]) == ("classic", 60, 10)
    assert [(row["epoch"], row["step"], row["images_seen"]) for row in history(folder)] == [
        ("1", "6", "60"),
        ("2", "12", "120"),
        ("3", "18", "180"),
    ]
    assert sorted(path.name for path in (folder / "samples").iterdir()) == [f"epoch-0000{n}.png" for n in (1, 2, 3)]
    assert np.asarray(Image.open(folder / "final.png")).shape == (128, 128)
    assert (folder / "losses.png").exists()
    assert list((folder / "tensorboard").iterdir())


def test_plain_keras_loads_the_generator_that_drew_the_last_grid(finished):
    folder = finished[0] / "run"
    generator = keras.saving.load_model(folder / "generator.keras", compile=False)
    assert generator.output_shape == (None, 16, 16, 1)
    sample.succeeds("--run", folder, "--seed", 0, "--out", folder / "faces.png")
    assert np.array_equal(np.asarray(Image.open(folder / "faces.png")), np.asarray(Image.open(folder / "final.png")))


def test_sample_draws_other_faces_for_another_seed_and_count(finished, tmp_path):
    for seed in (1, 2):
        sample.succeeds("--run", finished[0] / "run", "--count", 9, "--seed", seed, "--out", tmp_path / f"{seed}.png")
    first, second = (np.asarray(Image.open(tmp_path / f"{seed}.png")) for seed in (1, 2))
    assert first.shape == (48, 48)
    assert not np.array_equal(first, second)


def test_a_longer_run_goes_on_where_the_shorter_one_ended(finished, tmp_path):
    data = finished[0] / "data"
    run.succeeds("--shards", data, *SMALL, "--epochs", 1, "--out", tmp_path / "run")
    output = run.succeeds("--shards", data, *SMALL, "--epochs", 3, "--out", tmp_path / "run")
    assert "Continuing from" in output
    assert "6 of 18 steps are done" in output
    assert history(tmp_path / "run") == history(finished[0] / "run")
    for continued, undisturbed in zip(final_weights(tmp_path / "run"), final_weights(finished[0] / "run"), strict=True):
        assert np.array_equal(continued, undisturbed)


def start(data, out, epochs, *options):
    command = [
        sys.executable,
        "-m",
        "training.run",
        "--shards",
        data,
        *SMALL,
        "--epochs",
        epochs,
        "--out",
        out,
        *options,
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def wait_for(path, process):
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_that_is_killed_again_and_again_ends_bit_for_bit_as_an_undisturbed_one(finished, tmp_path):
    moments = random.Random(0)
    # So that deaths come inside of saves, scores and marks of the best too.
    saving_always = ("--deterministic", "--save-minutes", 0, "--save-kimg", 0.02, "--metrics", "swd")
    saving_always += ("--metrics-kimg", 0.04)
    for death in range(3):
        process = start(finished[0] / "data", tmp_path / "killed", 9, *saving_always)
        wait_for(tmp_path / "killed" / "samples" / f"epoch-{3 * death + 1:05d}.png", process)
        time.sleep(moments.uniform(0, 0.2))
        process.kill()
        process.communicate(timeout=60)
    for folder in ("killed", "undisturbed"):
        process = start(finished[0] / "data", tmp_path / folder, 9, *saving_always)
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output
        assert ("Continuing from" in output) == (folder == "killed")
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    assert history(killed) == history(undisturbed)
    assert len(history(killed)) == 9
    for here, there in zip(final_weights(killed), final_weights(undisturbed), strict=True):
        assert np.array_equal(here, there)
    assert (killed / "metrics.csv").read_text() == (undisturbed / "metrics.csv").read_text()
    assert [int(row["step"]) for row in scores(killed)] == [*range(4, 53, 4), 54]
    assert (killed / "checkpoints" / "best").read_text() == (undisturbed / "checkpoints" / "best").read_text()
    for here, there in zip(*(final_weights(folder, "best") for folder in (killed, undisturbed)), strict=True):
        assert np.array_equal(here, there)
    steps = [line["step"] for line in stats(killed)]
    assert steps == sorted(set(steps))
    assert not list(killed.glob("**/*partial*")), "leftovers of deaths are cleared"


def test_a_run_goes_on_over_another_number_of_devices(finished, tmp_path):
    run.succeeds("--shards", finished[0] / "data", *SMALL, "--epochs", 1, "--out", tmp_path / "run")
    process = start(finished[0] / "data", tmp_path / "run", 3, "--strategy", "auto", "--devices", 2)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert "Strategy mirrored over CPU:0, CPU:1; batch 10, 5 per device." in output
    for there, here in zip(history(tmp_path / "run"), history(finished[0] / "run"), strict=True):
        assert float(there["d_loss"]) == pytest.approx(float(here["d_loss"]), rel=1e-4)
        assert float(there["g_loss"]) == pytest.approx(float(here["g_loss"]), rel=1e-4)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_says_how_to_continue(finished, tmp_path, number, code):
    process = start(finished[0] / "data", tmp_path / "run", 100_000)
    wait_for(tmp_path / "run" / "history.csv", process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"--out {tmp_path / 'run'} continues" in output
    assert "Traceback" not in output
    assert list((tmp_path / "run" / "checkpoints").glob("*.index"))


def test_other_settings_are_refused_with_a_list(finished):
    before = (finished[0] / "run" / "config.json").read_bytes()
    message = run.is_refused(
        "--shards", finished[0] / "data", "--batch-size", 12, "--lr-g", 0.01, "--out", finished[0] / "run"
    )
    assert "batch_size: 10 in the run, 12 asked for" in message
    assert "lr_g: 0.0002 in the run, 0.01 asked for" in message
    assert (finished[0] / "run" / "config.json").read_bytes() == before


def test_micro_batches_that_do_not_divide_are_refused(finished, tmp_path):
    output = run.is_refused("--shards", finished[0] / "data", *SMALL, "--micro-batch", 4, "--out", tmp_path / "run")
    assert "--micro-batch 4 does not divide the 10 photos per device. Use --micro-batch 2." in output
    assert not (tmp_path / "run").exists()


def test_a_folder_of_something_else_is_refused(finished, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    assert "not a run" in run.is_refused("--shards", finished[0] / "data", *SMALL, "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_wrong_input_is_one_message(finished, tmp_path):
    data = finished[0] / "data"
    assert "no shards there" in run.is_refused("--shards", tmp_path / "*.tfrecord")
    assert "--batch-size 60" in run.is_refused("--shards", data, "--batch-size", 1000, "--out", tmp_path / "run")
    assert "No test shards" in run.is_refused("--shards", data, "--train-on", "test")
    assert "not a run" in sample.is_refused("--run", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_part_that_goes_from_one_value_to_another_needs_to_know_how_long(finished, tmp_path):
    arguments = ("--shards", finished[0] / "data", *SMALL, "--lr-g", "4e-4:1e-4", "--out", tmp_path / "run")
    assert "--lr-g 0.0004:0.0001: say over how many thousand photos, with --ramp-kimg." in run.is_refused(*arguments)
    assert not (tmp_path / "run").exists()
    run.succeeds(*arguments, "--ramp-kimg", 0.1, "--epochs", 1)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--kimg", "inf"), ("--save-kimg", "nan"), ("--clip-norm", "nan"), ("--lr-g", "inf"), ("--beta-2", "1")],
)
def test_numbers_that_no_run_can_have_are_refused(finished, tmp_path, option, value):
    arguments = ("--shards", finished[0] / "data", *SMALL, "--out", tmp_path / "run")
    assert option in run.is_refused(*arguments, option, value)
    assert not (tmp_path / "run").exists()


def test_images_that_no_network_builds_for_are_refused_before_anything_is_written(tmp_path):
    write_shards(tmp_path / "data", numbered_images(20, side=12), (20,))
    message = run.is_refused("--shards", tmp_path / "data", *SMALL, "--out", tmp_path / "run")
    assert "square images of 8, 16, 32, 64, ... pixels" in message
    assert not (tmp_path / "run").exists()


def test_a_damaged_generator_is_one_message(finished, tmp_path):
    shutil.copytree(finished[0] / "run", tmp_path / "run")
    path = tmp_path / "run" / "generator.keras"
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content in (whole[:-100], bytes(flipped), b"rubbish"):
        path.write_bytes(content)
        message = sample.is_refused("--run", tmp_path / "run", "--out", tmp_path / "faces.png")
        assert "generator.keras cannot be read" in message
        assert "continue the run" in message
    assert not (tmp_path / "faces.png").exists()


def test_runs_are_numbered(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "00007-classic").mkdir(parents=True)
    run.succeeds("--shards", finished[0] / "data", *SMALL, "--epochs", 1, "--limit", 20)
    assert (tmp_path / "runs" / "00008-classic" / "final.png").exists()


def test_two_runs_at_once_get_numbers_of_their_own(finished, tmp_path):
    command = [sys.executable, "-m", "training.run", "--shards", finished[0] / "data", *SMALL, "--epochs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [*map(str, command), "--seed", str(seed)],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for seed in (0, 1)
    ]  # fmt: skip
    ended = [(process.communicate(timeout=120)[0], process.returncode) for process in processes]
    assert [code for _, code in ended] == [0, 0], ended
    folders = sorted((tmp_path / "runs").iterdir())
    assert [folder.name for folder in folders] == ["00001-classic", "00002-classic"]
    assert {json.loads((folder / "config.json").read_text())["seed"] for folder in folders} == {0, 1}
    assert not list((tmp_path / "runs").rglob(".lock"))


def test_a_folder_in_use_is_refused_with_its_holder_and_free_after_a_kill(finished, tmp_path):
    process = start(finished[0] / "data", tmp_path / "run", 100_000)
    wait_for(tmp_path / "run" / "history.csv", process)
    result = run("--shards", finished[0] / "data", *SMALL, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert f"{tmp_path / 'run'} is in use by another run (process {process.pid} on " in result.output
    run.succeeds("--shards", finished[0] / "data", *SMALL, "--dry-run", "--out", tmp_path / "run")
    process.kill()
    process.communicate(timeout=60)
    epochs = len(history(tmp_path / "run")) + 2
    assert "Continuing" in run.succeeds(
        "--shards", finished[0] / "data", *SMALL, "--epochs", epochs, "--out", tmp_path / "run"
    )


def test_a_folder_that_cannot_be_written_is_one_message(finished, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    result = run("--shards", finished[0] / "data", *SMALL, "--out", tmp_path / "file" / "run")
    assert result.exit_code == 1
    assert "file" in result.output
    assert "Traceback" not in result.output


def test_a_number_that_led_to_nothing_is_free_again(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run.is_refused("--shards", finished[0] / "data", *SMALL, "--metrics", "frechet")
    assert not list((tmp_path / "runs").iterdir())


def test_what_computes_is_said_and_kept(finished):
    place, output = finished
    machine = json.loads((place / "run" / "config.json").read_text())["machine"]
    assert f"Computed on {machine['processor']}, {machine['instructions']}" in output
    assert f"TensorFlow {machine['tensorflow']}" in output


def test_a_dry_run_measures_and_writes_nothing(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = finished[0] / "data"
    output = run.succeeds(
        "--shards", data, *SMALL, "--dry-run", "--cache", "none", "--train-on", "all", "--metrics", "swd"
    )
    assert re.search(r"generator: 100 -> 16x16x1, [\d,]+ parameters", output)
    assert re.search(r"discriminator: 16x16x1, .* -> 1, [\d,]+ parameters", output)
    assert re.search(r"images/s, with 10 images per device; [\d,]+ MB at most", output)
    assert re.search(r"An epoch takes \d+:\d\d:\d\d, all 160 steps \d+:\d\d:\d\d", output)
    assert "Training on 80 photos (all); kept for evaluation: none." in output
    assert "streamed" in output
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_what_was_good(finished, tmp_path):
    result = run("--shards", finished[0] / "data", *SMALL, "--lr-d", 1e38, "--epochs", 3, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "no longer finite" in result.output
    assert "--clip-norm" in result.output
    assert not (tmp_path / "run" / "final.png").exists()
    # It has saved nothing, so it may begin again with what the message says to try.
    run.succeeds("--shards", finished[0] / "data", *SMALL, "--lr-d", 1e-4, "--epochs", 1, "--out", tmp_path / "run")


def test_a_run_is_taken_back_three_times_at_most_even_where_it_is_killed_after_one(finished, tmp_path):
    options = ("--lr-d", 1e30, "--on-nan", "rollback")
    process = start(finished[0] / "data", tmp_path / "run", 3, *options)
    wait_for(tmp_path / "run" / "checkpoints" / "step-0-rollback-1.index", process)
    process.kill()
    process.communicate(timeout=60)
    names = [path.stem for path in (tmp_path / "run" / "checkpoints").glob("step-0-rollback-*.index")]
    before = max(int(name[-1]) for name in names)
    for left in (3 - before, 0):  # what stops a run stops it again
        result = run("--shards", finished[0] / "data", *SMALL, "--epochs", 3, *options, "--out", tmp_path / "run")
        assert result.exit_code == 1
        assert result.output.count("Returned to step-0") == left
        assert "was rolled back 3 times already" in result.output
    assert (tmp_path / "run" / "checkpoints" / "step-0-rollback-3.index").exists()


def test_metrics_are_taken_while_training_and_the_best_is_kept(finished, tmp_path):
    data, out = finished[0] / "data", tmp_path / "run"
    output = run.succeeds(
        "--shards", data, *SMALL, "--epochs", 3, "--metrics", "swd", "--metrics-kimg", 0.05, "--save-kimg", 0.02,
        "--status-seconds", 1_000, "--out", out,
    )  # fmt: skip
    assert [int(row["step"]) for row in scores(out)] == [5, 10, 15, 18]
    best = min(scores(out), key=lambda row: float(row["swd"]))
    assert (out / "checkpoints" / "best").read_text().strip() == f"step-{best['step']}"
    assert (out / "checkpoints" / f"step-{best['step']}.index").exists()
    assert keras.saving.load_model(out / "generator-best.keras", compile=False).output_shape == (None, 16, 16, 1)
    assert f"50 images seen: swd {float(scores(out)[0]['swd']):.4g}" in output
    assert all(float(row["swd_held_out"]) != float(row["swd"]) for row in scores(out))
    assert history(out) == history(finished[0] / "run"), "judging a generator does not change it"
    assert [line["step"] for line in stats(out)] == [2, 4, 5, 6, 8, 10, 12, 14, 15, 16, 18]


def test_metrics_that_cannot_be_taken_are_refused_before_anything_is_written(finished, tmp_path):
    data, out = finished[0] / "data", tmp_path / "run"
    assert "frechet" in run.is_refused("--shards", data, *SMALL, "--out", out, "--metrics", "swd,fid")
    assert "training.features" in run.is_refused("--shards", data, *SMALL, "--out", out, "--metrics", "swd,frechet")
    assert not out.exists()


def test_a_damaged_shard_is_one_message(finished, tmp_path):
    write_shards(tmp_path / "data", numbered_images(60), (60,))
    path = tmp_path / "data" / "train-00000-of-00001.tfrecord"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    result = run("--shards", tmp_path / "data", *SMALL, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "preprocess.verify" in result.output


def test_a_run_of_which_no_checkpoint_can_be_read_is_not_begun_anew(finished, tmp_path):
    shutil.copytree(finished[0] / "run", tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").glob("*.data-*"):
        path.write_bytes(path.read_bytes()[:-100])
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    result = run("--shards", finished[0] / "data", *SMALL, "--epochs", 4, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "Error: No checkpoint of the run can be read: start again with another --out." in result.output
    assert {path: path.read_bytes() for path in before} == before


def test_a_picture_for_a_folder_that_is_not_there_is_refused(finished, tmp_path):
    assert "is not a folder" in sample.is_refused("--run", finished[0] / "run", "--out", tmp_path / "no" / "faces.png")
