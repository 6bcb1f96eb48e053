"""Files that are never seen half-written."""

import os
import stat
from errno import EACCES, EBADF, EINVAL, EIO, ENOSPC, ENOSYS, ENOTSUP
from hashlib import sha256
from pathlib import Path

import pytest

from system.files import read_json, replacing, sha256_of, write_json, write_text
from tests.disk import Disk, kill_at_every_step


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with replacing(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_stays_when_its_replacement_fails(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as partial:
        partial.write_text("half of the n")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_comes_back_and_what_is_none_is_none(tmp_path):
    write_json(tmp_path / "a.json", {"name": "é", "list": [1, None]})
    assert read_json(tmp_path / "a.json") == {"name": "é", "list": [1, None]}
    assert read_json(tmp_path / "b.json") is None
    for data in (b"\xff{", 100_000 * b"["):
        (tmp_path / "b.json").write_bytes(data)
        assert read_json(tmp_path / "b.json") is None


def test_a_new_file_outlasts_a_power_cut(tmp_path):
    with Disk().watched() as disk:
        write_text(tmp_path / "file", "new")
    disk.assert_lasting(tmp_path / "file")


def test_a_kill_at_any_step_leaves_the_old_file_or_the_new(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    for _ in kill_at_every_step(lambda at: write_text(path, "new")):
        assert path.read_text() in ("old", "new")
    assert path.read_text() == "new"


def test_the_digest_of_a_file_that_takes_several_reads(tmp_path):
    content = bytes(range(256)) * 12_345
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == sha256(content).hexdigest()


# A sync that a file system does not have stops nothing, and one that failed does.


@pytest.fixture
def fails(monkeypatch):
    """Let the sync of files or folders fail with an error."""

    def set_up(is_kind, error):
        sync = os.fsync

        def fail(descriptor):
            if is_kind(os.fstat(descriptor).st_mode):
                raise OSError(error, os.strerror(error))
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", fail)

    return set_up


@pytest.mark.parametrize("error", [EINVAL, ENOTSUP, ENOSYS, EBADF])
def test_a_file_is_written_in_a_folder_that_cannot_be_synced(fails, tmp_path, error):
    fails(stat.S_ISDIR, error)
    write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"


def test_a_file_is_written_in_a_folder_that_cannot_be_opened(tmp_path, monkeypatch):
    system = os.open

    def refuse(path, flags, *rest, **named):
        if Path(path).is_dir():
            raise PermissionError(EACCES, os.strerror(EACCES), str(path))
        return system(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", refuse)
    write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize("error", [EIO, ENOSPC])
def test_a_file_whose_sync_failed_does_not_replace_another(fails, tmp_path, error):
    write_text(tmp_path / "file", "old")
    fails(stat.S_ISREG, error)
    with pytest.raises(OSError, match=os.strerror(error)):
        write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"


def test_a_file_is_written_where_files_cannot_be_synced(fails, tmp_path):
    fails(stat.S_ISREG, ENOSYS)
    write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"
