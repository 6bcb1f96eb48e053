"""Both stages: a sync that a file system does not have stops nothing, and one that failed does."""

import os
import stat
from errno import EACCES, EBADF, EINVAL, EIO, ENOSPC, ENOSYS, ENOTSUP
from pathlib import Path

import pytest

from preprocess import files as preprocess_files
from training import files as training_files


@pytest.fixture(params=[preprocess_files, training_files], ids=["preprocess", "training"])
def write_text(request):
    return request.param.write_text


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
def test_a_file_is_written_in_a_folder_that_cannot_be_synced(fails, write_text, tmp_path, error):
    fails(stat.S_ISDIR, error)
    write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"


def test_a_file_is_written_in_a_folder_that_cannot_be_opened(write_text, tmp_path, monkeypatch):
    system = os.open

    def refuse(path, flags, *rest, **named):
        if Path(path).is_dir():
            raise PermissionError(EACCES, os.strerror(EACCES), str(path))
        return system(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", refuse)
    write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize("error", [EIO, ENOSPC])
def test_a_file_whose_sync_failed_does_not_replace_another(fails, write_text, tmp_path, error):
    write_text(tmp_path / "file", "old")
    fails(stat.S_ISREG, error)
    with pytest.raises(OSError, match=os.strerror(error)):
        write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"


def test_a_file_is_written_where_files_cannot_be_synced(fails, write_text, tmp_path):
    fails(stat.S_ISREG, ENOSYS)
    write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"
