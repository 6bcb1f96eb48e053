"""Files that are never seen half-written."""

import pytest

from preprocess.files import read_json, replacing, write_json


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_stays_when_its_replacement_fails(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half of the n")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_comes_back_and_what_is_none_is_none(tmp_path):
    write_json(tmp_path / "a.json", {"name": "é", "list": [1, None]})
    assert read_json(tmp_path / "a.json") == {"name": "é", "list": [1, None]}
    assert read_json(tmp_path / "b.json") is None
    (tmp_path / "b.json").write_bytes(b"\xff{")
    assert read_json(tmp_path / "b.json") is None
