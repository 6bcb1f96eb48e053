"""Damage of every kind is named."""

import errno
import json
import os

import click
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess import manifest as manifests
from preprocess.verify import check_shard, described
from tests.preprocess.damage import damage, edit, stamps


def test_a_whole_folder_is_one_line_and_stays_as_it_is(verify, shards):
    before = stamps(shards)
    status, output = verify(shards)
    assert (status, len(output)) == (0, 1), output
    assert f"{len(list(shards.glob('*.tfrecord')))} shards, 40 records" in output[0]
    assert stamps(shards) == before


def test_what_a_mac_adds_on_other_file_systems_is_no_shard(verify, preprocess, photos, folder, tmp_path):
    (tmp_path / "new").mkdir()
    for place in (folder, tmp_path / "new"):
        (place / "._train-00000-of-00003.tfrecord").write_bytes(b"\0\5\x16\7")
    status, output = verify(folder)
    assert (status, len(output)) == (0, 1), output
    status, output = preprocess("--source", photos.zip, "--out", tmp_path / "new", "--workers", 1)
    assert status == 0, output


def test_all_damage_is_named_at_once(verify, folder):
    expected = {f"{name}: {fault}" for name, fault in damage(folder).items()}
    status, output = verify(folder)
    assert status == 1
    assert set(output[:-1]) == expected
    assert "--repair" in output[-1]


def test_a_folder_without_manifest_is_reported_with_what_to_do(verify, folder, tmp_path):
    (folder / "manifest.json").unlink()
    for path in (folder, tmp_path):
        status, output = verify(path)
        assert (status, "no manifest.json" in " ".join(output)) == (2, True)
    assert verify(tmp_path / "nothing")[0] == 2


def test_rejected_photos_are_held_against_the_manifest(verify, folder):
    (folder / "rejected.jsonl").write_text('{"id": "a.jpg", "reason": "empty file"}\n')
    status, output = verify(folder)
    assert status == 1
    assert output[:-1] == ["rejected.jsonl: is missing, or differs from the manifest"]
    edit(folder / "manifest.json", lambda manifest: manifest.update(rejected={"empty file": 1}))
    assert verify(folder)[0] == 0


def test_a_shard_that_the_disk_cannot_read_is_reported(shards, monkeypatch):
    def fails(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("preprocess.verify.file_digest", fails)
    shard, *_ = manifests.shards(json.loads((shards / "manifest.json").read_text()))
    assert check_shard(shards, shard) == "cannot be read: Input/output error"


def changed(document, path, value):
    """Return the document with something else at a place in it."""
    if not path:
        return value
    key, *rest = path
    inner = changed(document[key], rest, value)
    copy = document.copy()
    copy[key] = inner
    return copy


def places(document, path=()):
    yield path
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        yield from places(value, (*path, key)) if isinstance(value, (dict, list)) else [(*path, key)]


@settings(deadline=None, max_examples=60, derandomize=True)
@given(data=st.data())
def test_a_damaged_manifest_describes_a_folder_or_is_one_message(shards, data):
    manifest = json.loads((shards / "manifest.json").read_text())
    path = data.draw(st.sampled_from([path for path in places(manifest) if path]))
    value = data.draw(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.lists(st.integers() | st.text(max_size=3), max_size=3)
        | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
    )
    try:
        _, documents = described(shards, changed(manifest, path, value))
    except click.ClickException as error:
        assert "manifest.json is damaged" in error.message
    else:
        assert set(documents) == {"features.json", "dataset_info.json"}
