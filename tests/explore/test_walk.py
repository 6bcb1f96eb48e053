"""Walks through z, the files that they are written to, and the command as a user types it."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from click import UsageError
from PIL import Image

from explore import walk
from tests.command import Command
from training import config as configs
from training import draw
from training.config import Config
from training.presets import PRESETS

command = Command(walk.main)
NORMAL = np.random.default_rng(0).standard_normal((3, 2, 64)).astype(np.float32)
UNIFORM = np.random.default_rng(0).uniform(-1, 1, (3, 2, 64)).astype(np.float32)
FRAMES = np.random.default_rng(0).integers(0, 256, (5, 6, 8, 1), dtype=np.uint8)


@pytest.mark.parametrize(("stops", "distribution"), [(NORMAL, "normal"), (UNIFORM, "uniform")])
@pytest.mark.parametrize("is_loop", [True, False])
def test_a_walk_reaches_each_stop_after_the_frames_of_a_leg(stops, distribution, is_loop):
    z = walk.latents_along(stops, 10, distribution, is_loop)
    assert (z.dtype, z.shape) == (np.float32, (30 if is_loop else 21, 2, 64))
    for index in range(3):
        np.testing.assert_allclose(z[10 * index], stops[index], atol=1e-6)


def test_normal_z_go_along_a_sphere():
    """A straight line would pass through lengths of 0.7 times those of its ends: no normal z of 64 is so short."""
    lengths = np.linalg.norm(walk.latents_along(NORMAL, 20, "normal", is_loop=True), axis=2)
    assert lengths.min() > 0.9 * np.linalg.norm(NORMAL, axis=2).min()
    assert lengths.max() < 1.1 * np.linalg.norm(NORMAL, axis=2).max()
    start, end = NORMAL[:2, 0]
    middle = walk.latents_along(NORMAL[:2], 10, "normal", is_loop=False)[5, 0]
    angle = np.arccos(start @ end / np.linalg.norm(start) / np.linalg.norm(end))
    np.testing.assert_allclose(middle, np.sin(angle / 2) / np.sin(angle) * (start + end), rtol=1e-5)


def test_uniform_z_go_along_a_line_within_their_cube():
    z = walk.latents_along(UNIFORM, 8, "uniform", is_loop=True)
    assert np.abs(z).max() <= 1
    share = (1 - np.cos(np.pi * 3 / 8)) / 2
    np.testing.assert_allclose(z[3], UNIFORM[0] + share * (UNIFORM[1] - UNIFORM[0]), atol=1e-6)


def test_each_leg_begins_and_ends_slowly():
    z = walk.latents_along(UNIFORM, 20, "uniform", is_loop=False)[:, 0]
    steps = np.linalg.norm(np.diff(z, axis=0), axis=1)
    for leg in (steps[:20], steps[20:]):
        assert leg[0] < leg[9] / 5
        assert leg[-1] < leg[9] / 5


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_a_walk_between_equal_z_stands_still(distribution):
    stops = np.repeat(NORMAL[:1], 2, axis=0)
    z = walk.latents_along(stops, 5, distribution, is_loop=True)
    np.testing.assert_allclose(z, np.repeat(stops[:1], 10, axis=0), rtol=1e-6)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pillow_reads_every_frame_at_its_time(tmp_path, suffix, channels):
    path = tmp_path / f"walk{suffix}"
    frames = np.repeat(FRAMES, channels, axis=3)
    assert walk.write_animation(path, iter(frames), 20, scale=3) == 5
    picture = Image.open(path)
    assert (picture.n_frames, picture.size) == (5, (24, 18))
    assert picture.info.get("loop") == 0
    for number, frame in enumerate(frames):
        picture.seek(number)
        if suffix != ".webp":  # which is not lossless
            shown = np.asarray(picture.convert("L"))
            np.testing.assert_allclose(shown.astype(int), frame[..., 0].repeat(3, 0).repeat(3, 1).astype(int), atol=2)
        picture.load()
        assert picture.info["duration"] == 50
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("fps", [0.1, 12.5, 24, 30, 50])
def test_the_times_of_frames_add_up_to_the_requested_length(fps):
    for unit in (1, 10):
        shown = walk.milliseconds(100, fps, unit)
        assert len(shown) == 100
        assert abs(sum(shown) - 100_000 / fps) <= unit
        assert all(time % unit == 0 for time in shown)
        assert max(shown) - min(shown) <= unit


def test_an_ffmpeg_that_fails_leaves_the_earlier_file(run, tmp_path, monkeypatch):
    path = tmp_path / "walk.mp4"
    path.write_bytes(b"before")
    program = tmp_path / "programs/ffmpeg"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nfor last; do :; done; echo half > "${last#file:}"; echo no such codec >&2; exit 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    result = command("--run", run, "--seconds", 0.1, "--out", path)
    assert (result.exit_code, "Error: ffmpeg failed: no such codec" in result.output) == (1, True)
    assert path.read_bytes() == b"before"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["programs", "walk.mp4"]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg is installed here")
@pytest.mark.parametrize("channels", [1, 3])
def test_ffmpeg_reads_back_the_brightness_of_each_frame(tmp_path, channels, monkeypatch):
    """Frames of one brightness each, which no codec blurs, and as many as there were."""
    levels = [20, 90, 160, 230]
    frames = [np.full((32, 48, channels), level, np.uint8) for level in levels]
    monkeypatch.chdir(tmp_path)
    walk.write_animation(Path("walk-12:30.mp4"), iter(frames), 10)  # a name that ffmpeg takes for a protocol
    program = ["ffmpeg", "-v", "error", "-i", tmp_path / "walk-12:30.mp4", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    raw = subprocess.run(program, check=True, capture_output=True, timeout=60).stdout
    shown = np.frombuffer(raw, np.uint8).reshape(len(levels), 32, 48)
    np.testing.assert_allclose(shown.mean(axis=(1, 2)), levels, atol=4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    z = keras.Input((4,), name="z")
    keras.Model(z, keras.layers.Reshape((8, 8, 1))(keras.layers.Dense(64, activation="sigmoid")(z))).save(
        folder / "generator.keras"
    )
    method = replace(PRESETS["classic"], latent=4, latent_distribution="normal")
    configs.save(folder, Config("classic", method, 0, "train", 40, "abc", (8, 8, 1), cache=True), {})
    return folder


def frames_of(path):
    picture = Image.open(path)
    for number in range(picture.n_frames):
        picture.seek(number)
        yield np.asarray(picture.convert("L")).astype(int)


def test_a_walk_passes_the_faces_of_its_seeds(run, tmp_path):
    out = tmp_path / "walk.png"
    output = command.succeeds(
        "--run", run, "--seeds", "5,6", "--count", 3, "--seconds", 0.5, "--fps", 10, "--scale", 1, "--out", out
    )
    assert "10 frames, 1 s" in output
    shown = list(frames_of(out))
    generator = draw.load(run / "generator.keras")
    for seed, number in ((5, 0), (6, 5)):
        faces = draw.tile(draw.faces(generator, 3, seed, "normal"))[..., 0]
        np.testing.assert_allclose(shown[number], faces.astype(int), atol=1)
    assert np.abs(shown[2] - shown[0]).max() > 3
    command.succeeds("--run", run, "--seeds", "5,6", "--no-loop", "--seconds", 0.5, "--fps", 10, "--out", out)
    assert len(list(frames_of(out))) == 6


@pytest.mark.parametrize("channels", [1, 3])
def test_the_samples_of_the_training_become_its_animation(run, tmp_path, channels):
    grids = np.random.default_rng(0).integers(0, 256, (3, 16, 16, channels), dtype=np.uint8)
    trained = shutil.copytree(run, tmp_path / "run")
    (trained / "samples").mkdir()
    for number in (2, 0, 1):
        draw.write_png(trained / f"samples/epoch-{number + 1:05d}.png", grids[number])
    out = tmp_path / "training.png"
    assert "3 frames, one for each grid" in command.succeeds("--run", trained, "--training", "--scale", 1, "--out", out)
    animation = Image.open(out)
    for number, grid in enumerate(grids):
        animation.seek(number)
        np.testing.assert_array_equal(np.asarray(animation.convert("L" if channels == 1 else "RGB")), grid.squeeze())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seeds", "1"), "two seeds or more"),
        (("--seeds", "1,x"), "'x' is not a valid integer"),
        (("--set", "Male=1"), "was trained without conditions: it cannot draw faces by Male. Train a run with --cond"),
        (("--out", "walk.avi"), "an animation is a .gif, .webp, .png, .mp4 file"),
        (("--out", "none/walk.gif"), "is not a folder"),
        (("--fps", "0"), "--fps"),
    ],
)
def test_what_is_wrong_is_one_message(run, arguments, message):
    assert message in command.is_refused("--run", run, *arguments)


@pytest.mark.parametrize(("frames", "count", "scale"), [(1, 10**6, 2), (720_000, 1, 2), (1, 300, 16)])
def test_an_animation_that_no_program_opens_is_refused(frames, count, scale):
    with pytest.raises(UsageError, match="are too large: at most 16,383 pixels, and 4 GB for all frames"):
        walk.check_size(frames, count, (64, 64, 1), scale)
    walk.check_size(160, 64, (64, 64, 1), 2)


def test_the_size_is_refused_before_anything_is_drawn(run, tmp_path):
    trained = shutil.copytree(run, tmp_path / "run")
    (trained / "samples").mkdir()
    Image.new("L", (2048, 2048)).save(trained / "samples/epoch-00001.png")
    large = ("--run", trained, "--training", "--scale", 8, "--out", tmp_path / "training.webp")
    assert "are too large" in command.is_refused(*large)
    assert "are too large" in command.is_refused("--run", run, "--out", tmp_path / "walk.gif", "--count", 10**7)


def test_a_missing_ffmpeg_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "needs ffmpeg" in command.is_refused("--run", run, "--out", tmp_path / "walk.mp4")


def test_a_folder_without_samples_or_generator_is_named(run, tmp_path):
    out = tmp_path / "walk.gif"
    assert "has no samples" in command.is_refused("--run", run, "--training", "--out", out)
    for options in ((), ("--training",)):
        assert "is not a run" in command.is_refused("--run", tmp_path, "--out", out, *options)
