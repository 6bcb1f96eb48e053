"""Disks that are full, closed or gone: one message, nothing lost, and the same command goes on when it is mended."""

import ctypes
import json
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from preprocess.sources.photo import MAX_PHOTO_BYTES
from tests.preprocess.waiting import wait_until


@pytest.fixture(scope="module")
def run_under(command):
    """Run the command in a process that first calls this; return its exit status and all that it printed."""

    def run(limit: Callable[[], None], *arguments) -> tuple[int, str]:
        done = subprocess.run(
            command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
            preexec_fn=limit,
        )
        assert "Traceback" not in done.stdout, done.stdout
        return done.returncode, " ".join(done.stdout.split())

    return run


def files_up_to(size: int) -> Callable[[], None]:
    """What `ulimit -f` does: every write past this many bytes of a file fails, as it does on a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def as_a_user() -> None:
    """Give up root's right to read and write what the mode of a file forbids; others do not have it."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: from the next program on


def made(out: Path) -> dict[str, int]:
    """When each finished shard was made."""
    return {path.stem: path.with_suffix(".tfrecord").stat().st_mtime_ns for path in out.rglob("*-of-*.json")} | {
        path.stem: path.stat().st_mtime_ns for path in out.glob("*.tfrecord")
    }


def test_a_disk_without_room_for_some_shards(run_under, preprocess, photos, listed, shards, contents, tmp_path):
    same = ["--source", photos.zip, *listed, "--shard-images", 7, "--out", tmp_path]
    sizes = sorted(path.stat().st_size for path in shards.glob("*.tfrecord"))
    assert sizes[0] < sizes[-1]
    status, output = run_under(files_up_to(sizes[-1] - 1), *same, "--workers", 1)
    assert status == 1
    assert f"Error: {tmp_path}/.unfinished/" in output
    assert "File too large. Make room" in output
    assert "give the same command again" in output
    before = made(tmp_path)
    assert before
    assert list(tmp_path.rglob(".partial-*")) == []
    assert preprocess(*same)[0] == 0
    assert before.items() <= made(tmp_path).items()
    assert contents(tmp_path) == contents(shards)


def test_a_disk_without_room_for_the_manifest(run_under, preprocess, photos, tmp_path):
    same = ["--source", photos.zip, "--shard-images", 1, "--out", tmp_path]
    status, output = run_under(files_up_to(6_000), *same)
    assert status == 1
    assert f"{tmp_path}/.unfinished/manifest.json: File too large." in output
    assert "give the same command again" in output
    before = made(tmp_path)
    assert len(before) == len(photos.rows)
    assert list(tmp_path.glob("*.*record*")) == []
    assert preprocess(*same)[0] == 0
    assert made(tmp_path) == before


def test_a_disk_without_room_for_anything(run_under, photos, tmp_path):
    status, output = run_under(files_up_to(0), "--source", photos.zip, "--out", tmp_path / "out")
    assert status == 1
    assert f"{tmp_path}/out/.lock: File too large. Make room" in output
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written(run_under, photos, listed, shards, tmp_path):
    same = ["--source", photos.zip, *listed, "--shard-images", 7]
    (tmp_path / "closed").mkdir(mode=0o500)
    status, output = run_under(as_a_user, *same, "--out", tmp_path / "closed")
    assert status == 1
    assert f"{tmp_path}/closed/.lock: Permission denied." in output
    status, output = run_under(as_a_user, *same, "--out", tmp_path / "closed" / "new")
    assert status == 1
    assert f"{tmp_path}/closed/new: Permission denied." in output
    shutil.copytree(shards, tmp_path / "done")
    (tmp_path / "done").chmod(0o500)
    status, output = run_under(as_a_user, *same, "--out", tmp_path / "done")
    assert (status, "is up to date" in output) == (0, True)


@pytest.mark.parametrize("files", [8, 14])
def test_too_many_open_files_are_no_fault_of_the_disk_or_of_the_photos(run_under, photos, tmp_path, files):
    def with_few_files():
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    status, output = run_under(with_few_files, "--source", photos.folder, "--out", tmp_path / "out", "--workers", 3)
    assert status == 1, output
    assert "Too many open files" in output
    assert "ulimit -n" in output


def test_little_memory_does_for_small_photos(run_under, photos, tmp_path):
    def with_little_memory():
        resource.setrlimit(resource.RLIMIT_AS, (MAX_PHOTO_BYTES, MAX_PHOTO_BYTES))

    options = ["--source", photos.folder, "--out", tmp_path / "out", "--workers", 1]
    assert run_under(with_little_memory, *options)[0] == 0


def test_what_may_not_be_read_is_rejected_and_the_rest_is_used(run_under, photos, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(photos.folder, folder)
    closed = sorted(photos.rows)[3]
    (folder / closed).chmod(0)
    for name, mode in (("lost+found", 0), ("only names", 0o444)):
        (folder / name).mkdir()
        (folder / name / "a.jpg").touch()
        (folder / name).chmod(mode)
    same = ["--source", folder, "--out", tmp_path / "out", "--max-rejected"]
    status, output = run_under(as_a_user, *same, 0.01)
    assert status == 1
    assert "2 of 42 photos cannot be used" in output  # so much is known without reading any
    status, output = run_under(as_a_user, *same, 0.1)
    assert (status, "39 train; 3 rejected" in output) == (0, True), output
    assert [json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()] == [
        {"id": closed, "reason": "unreadable: Permission denied"},
        {"id": "lost+found/", "reason": "a folder that cannot be read: Permission denied"},
        {"id": "only names/a.jpg", "reason": "unreadable: Permission denied"},
    ]
    (folder / "lost+found").chmod(0o755)
    status, output = run_under(as_a_user, *same, 0.1)
    assert (status, "source.fingerprint" in output) == (2, True), output


def test_a_source_that_may_not_be_read_is_refused(run_under, photos, tmp_path):
    shutil.copy(photos.zip, tmp_path / "photos.zip")
    (tmp_path / "photos.zip").chmod(0)
    (tmp_path / "closed" / "within").mkdir(parents=True)
    (tmp_path / "closed").chmod(0)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "closed").mkdir(mode=0)
    for source, message in [
        (tmp_path / "photos.zip", f"'{tmp_path}/photos.zip' is not readable"),
        (tmp_path / "closed", f"'{tmp_path}/closed' is not readable"),
        (tmp_path / "closed" / "within", f"{tmp_path}/closed/within cannot be read: Permission denied"),
        (tmp_path / "empty", "no photo that can be used: closed/ is a folder that cannot be read: Permission denied"),
    ]:
        status, output = run_under(as_a_user, "--source", source, "--out", tmp_path / "new")
        assert (status, message in output) == (2, True), output
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_source_that_is_removed_meanwhile(command, preprocess, photos, contents, tmp_path, kind):
    source, away, out = tmp_path / "source", tmp_path / "away", tmp_path / "out"
    shutil.copytree(photos.folder, source / "img") if kind == "folder" else shutil.copy(photos.zip, source)
    gone = source / "img" if kind == "folder" else source
    same = ["--source", source, "--shard-images", 1]
    assert preprocess(*same, "--out", tmp_path / "undisturbed")[0] == 0
    run = subprocess.Popen(
        command(*same, "--out", out, "--workers", 1), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_until(lambda: list(out.rglob("*-of-*.json")))
    gone.rename(away)
    output, _ = run.communicate(timeout=20)
    assert run.returncode == 1
    assert "Traceback" not in output
    assert "cannot be read any more. Bring it back: the same command continues." in output
    before = made(out)
    assert 0 < len(before) < len(photos.rows)
    away.rename(gone)
    assert preprocess(*same, "--out", out)[0] == 0
    assert before.items() <= made(out).items()
    assert contents(out) == contents(tmp_path / "undisturbed")
