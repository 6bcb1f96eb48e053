import pytest

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
