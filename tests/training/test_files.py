import pytest

from tests.disk import Disk, kill_at_every_step
from training.files import replacing, write_text


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "config.json"
    write_text(path, "old")
    with pytest.raises(OSError, match="no room"), replacing(path) as partial:
        partial.write_text("half of the ne")
        raise OSError("no room")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_visible_before_it_is_whole(tmp_path):
    with replacing(tmp_path / "new") as partial:
        partial.write_text("whole")
        assert not (tmp_path / "new").exists()
    assert (tmp_path / "new").read_text() == "whole"


def test_a_new_file_outlasts_a_power_cut(tmp_path):
    with Disk().watched() as disk:
        write_text(tmp_path / "config.json", "new")
    disk.assert_lasting(tmp_path / "config.json")


def test_a_kill_at_any_step_leaves_the_old_file_or_the_new(tmp_path):
    path = tmp_path / "config.json"
    write_text(path, "old")
    for _ in kill_at_every_step(lambda at: write_text(path, "new")):
        assert path.read_text() in ("old", "new")
    assert path.read_text() == "new"
