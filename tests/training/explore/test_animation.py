import os
import shutil
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click import ClickException, UsageError
from PIL import Image

from training.explore import animation

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 6, 8, 1), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pillow_reads_every_frame_at_its_time(tmp_path, suffix, channels):
    path = tmp_path / f"walk{suffix}"
    frames = np.repeat(FRAMES, channels, axis=3)
    assert animation.write(path, iter(frames), 20, scale=3) == 5
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
def test_the_times_of_frames_add_up_to_those_that_were_asked_for(fps):
    for unit in (1, 10):
        shown = animation.milliseconds(100, fps, unit)
        assert len(shown) == 100
        assert abs(sum(shown) - 100_000 / fps) <= unit
        assert all(time % unit == 0 for time in shown)
        assert max(shown) - min(shown) <= unit


def test_what_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "walk.gif"
    path.write_bytes(b"before")

    def broken():
        yield FRAMES[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        animation.write(path, broken(), 20)
    assert path.read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1


def ffmpeg(folder: Path, script: str):
    """A program of that name that is found first: which formats a build of ffmpeg can write is not ours to test."""
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_ffmpeg_is_given_every_pixel_of_every_frame(tmp_path, monkeypatch):
    ffmpeg(tmp_path, f'echo "$@" > {tmp_path}/arguments; for last; do :; done; cat > "$last"')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    animation.check_path(tmp_path / "walk.mp4")
    assert animation.write(tmp_path / "walk.mp4", iter(FRAMES), 12.5, scale=2) == 5
    assert (tmp_path / "walk.mp4").read_bytes() == FRAMES.repeat(2, 1).repeat(2, 2).tobytes()
    arguments = (tmp_path / "arguments").read_text()
    assert "-f rawvideo -pix_fmt gray -s 16x12 -r 12.5" in arguments


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg is installed here")
@pytest.mark.parametrize("channels", [1, 3])
def test_ffmpeg_itself_reads_back_what_it_was_given(tmp_path, channels):
    """Frames of one brightness each, which no codec blurs, and as many as there were."""
    levels = [20, 90, 160, 230]
    frames = [np.full((32, 48, channels), level, np.uint8) for level in levels]
    animation.write(tmp_path / "walk.mp4", iter(frames), 10)
    command = ["ffmpeg", "-v", "error", "-i", tmp_path / "walk.mp4", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    raw = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    found = np.frombuffer(raw, np.uint8).reshape(len(levels), 32, 48)
    np.testing.assert_allclose(found.mean(axis=(1, 2)), levels, atol=4)


def test_what_ffmpeg_complains_of_is_said(tmp_path, monkeypatch):
    ffmpeg(tmp_path, "echo no such codec >&2; exit 3")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ClickException, match="ffmpeg failed: no such codec"):
        animation.write(tmp_path / "walk.mp4", iter(FRAMES), 10)
    assert not (tmp_path / "walk.mp4").exists()


def test_where_nothing_can_be_written_one_message_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, message in (
        ("walk.avi", r"\.gif, \.webp, \.png, \.mp4 file"),
        ("none/walk.gif", "is not a folder"),
        ("walk.mp4", "needs ffmpeg"),
    ):
        with pytest.raises(UsageError, match=message):
            animation.check_path(tmp_path / name)
