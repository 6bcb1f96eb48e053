"""What a run is, says and leaves, as a user starts it, on small shards."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from tests.training.runs import SMALL, faces_in, history, run, sample, scores, stats
from training import choosing

ROOT = Path(__file__).parents[2]


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
    assert not (folder / "labels.json").exists()


def test_what_computes_is_said_and_kept(finished):
    place, output = finished
    machine = json.loads((place / "run" / "config.json").read_text())["machine"]
    assert f"Computed on {machine['processor']}, {machine['instructions']}" in output
    assert f"TensorFlow {machine['tensorflow']}" in output


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


def test_sample_keeps_one_of_every_few_faces(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(choosing, "REFERENCE", 50)
    options = ("--run", finished[0] / "run", "--seed", 5)
    output = sample.succeeds(*options, "--count", 4, "--best-of", 9, "--out", tmp_path / "best.png")
    assert "4 faces, each the least odd of 9" in output
    sample.succeeds(*options, "--count", 36, "--out", tmp_path / "all.png")
    chosen, drawn = (faces_in(tmp_path / f"{name}.png").astype(int) for name in ("best", "all"))
    for place, face in enumerate(chosen):
        group = drawn[9 * place : 9 * place + 9]
        assert min(np.abs(face - other).max() for other in group) <= 1  # batches round


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


# What runs do before all else, 50 times: without a step of training between they meet often.
TAKE_NUMBERS = """
import os
from contextlib import ExitStack
from pathlib import Path
from training.loop.lock import locked_run_folder
print("started", flush=True)
input()
with ExitStack() as stack:
    for _ in range(50):
        folder = stack.enter_context(locked_run_folder(None, Path("runs"), "classic"))
        (folder / f"of {os.getpid()}").touch()
"""


def test_runs_that_begin_at_once_get_numbers_of_their_own(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE_NUMBERS], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    assert [process.stdout.readline() for process in processes] == 4 * ["started\n"]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    ended = [(process.communicate(timeout=120)[0], process.returncode) for process in processes]
    assert [code for _, code in ended] == 4 * [0], ended
    folders = sorted((tmp_path / "runs").iterdir())
    assert [folder.name for folder in folders] == [f"{number:05d}-classic" for number in range(1, 201)]
    assert [len(list(folder.glob("of *"))) for folder in folders] == 200 * [1]
    assert not list((tmp_path / "runs").rglob(".lock.holder"))


def test_runs_are_numbered_and_a_number_that_led_to_nothing_is_free_again(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "00007-classic").mkdir(parents=True)
    output = run.is_refused("--shards", finished[0] / "data", *SMALL, "--metrics", "frechet")
    assert "Run runs/00008-classic: " in output
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["00007-classic"]


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
