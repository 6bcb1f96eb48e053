"""Damage of every kind is named, and mended to the same bytes."""

import errno
import gzip
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.lock import locked
from preprocess.shard import Shard
from preprocess.tfrecord import read_records
from preprocess.verify import Expected, check_shard, expectations, report_lines

IMAGE, ATTRIBUTES = 64 * 64, 4


@pytest.fixture(scope="module")
def verify():
    """Run the command to its end; return its exit status and the lines that it said."""

    def run(*arguments) -> tuple[int, list[str]]:
        done = subprocess.run(
            [sys.executable, "-m", "preprocess.verify", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stdout, done.stdout
        return done.returncode, done.stdout.splitlines()

    return run


@pytest.fixture
def folder(shards, tmp_path) -> Path:
    """A finished folder of shards that may be damaged."""
    return shutil.copytree(shards, tmp_path / "data")


def frames(path: Path) -> list[tuple[int, int]]:
    """Where each record begins, and how many bytes of data it has."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        found.append((at, length))
        at += length + 16
    return found


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def edit(path: Path, change) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("workers", [1, 3])
def test_a_whole_folder_is_one_line_and_stays_as_it_is(verify, shards, workers):
    before = stamps(shards)
    status, said = verify(shards, "--workers", workers)
    assert (status, len(said)) == (0, 1), said
    assert f"{len(list(shards.glob('*.tfrecord')))} shards, 40 records" in said[0]
    assert stamps(shards) == before


def damage(folder: Path) -> dict[str, list[str]]:
    """Damage a file in each way; return for each what is to be said of it, word for word or as a beginning."""
    paths = sorted(folder.glob("train-*"), key=lambda path: -len(frames(path))) + sorted(folder.glob("[tv][ae][sl]*"))
    data, length, cut, gone, longer, emptied = paths[:6]
    last = frames(longer)[-1]
    at = {path: [offset for offset, _ in frames(path)] for path in paths}
    size = {path: path.stat().st_size for path in paths}
    count = {path: len(at[path]) for path in paths}
    spare = longer.read_bytes()[last[0] :]

    flip(data, at[data][1] + 12 + 50)
    flip(data, at[data][3] + 12 + 50)
    flip(length, at[length][2])
    cut.write_bytes(cut.read_bytes()[: at[cut][2] + 100])
    gone.unlink()
    longer.write_bytes(longer.read_bytes() + spare)
    emptied.write_bytes(b"")
    (folder / "train-00000-of-00009.tfrecord").write_bytes(spare)
    edit(folder / "dataset_info.json", lambda it: it["splits"][0]["shardLengths"].reverse())
    (folder / "features.json").unlink()
    return {
        data.name: [
            "has another SHA-256 than the manifest says",
            f"record 1 at byte {at[data][1]}: its data is damaged",
            f"record 3 at byte {at[data][3]}: its data is damaged",
            f"has {count[data] - 2} whole records; the manifest says {count[data]}",
        ],
        length.name: [
            "has another SHA-256 than the manifest says",
            f"record 2 at byte {at[length][2]}: its length is damaged, so what follows cannot be read",
            f"has 2 whole records; the manifest says {count[length]}",
        ],
        cut.name: [
            f"has {at[cut][2] + 100:,} bytes; the manifest says {size[cut]:,}",
            f"record 2 at byte {at[cut][2]}: it is cut off",
            f"has 2 whole records; the manifest says {count[cut]}",
        ],
        gone.name: ["is missing"],
        longer.name: [
            f"has {size[longer] + len(spare):,} bytes; the manifest says {size[longer]:,}",
            f"record {count[longer]} at byte {size[longer]}: the manifest says that there is none",
        ],
        emptied.name: [
            f"has 0 bytes; the manifest says {size[emptied]:,}",
            f"has 0 whole records; the manifest says {count[emptied]}",
        ],
        "train-00000-of-00009.tfrecord": ["is not in the manifest: move it away, or it will be trained on"],
        "dataset_info.json": ["is missing, or differs from the manifest"],
        "features.json": ["is missing, or differs from the manifest"],
    }


def test_all_damage_is_named_at_once(verify, folder):
    expected = {f"{name}: {what}" for name, lines in damage(folder).items() for what in lines}
    status, said = verify(folder)
    assert status == 1
    assert set(said[:-1]) == expected
    assert "--repair" in said[-1]


def test_repair_brings_the_same_bytes_back(verify, folder, shards, contents):
    damage(folder)
    before = stamps(folder)
    extra = (folder / "train-00000-of-00009.tfrecord").read_bytes()
    status, said = verify(folder, "--repair", "--workers", 2)
    assert status == 1
    assert said[-2] == "train-00000-of-00009.tfrecord: is not in the manifest: move it away, or it will be trained on"
    assert contents(folder) == contents(shards) | {"train-00000-of-00009.tfrecord": extra}
    assert not (folder / ".unfinished").exists()
    untouched = [name for name in contents(shards) if name.endswith("tfrecord") and name in before]
    assert sum(before[name] == stamps(folder)[name] for name in untouched) == len(untouched) - 5
    (folder / "train-00000-of-00009.tfrecord").unlink()
    assert verify(folder, "--repair")[0] == 0


def test_repair_goes_on_where_it_was_killed_and_leaves_an_unfinished_run_alone(verify, folder, shards, contents):
    made, begun, *_ = sorted(folder.glob("train-*"))
    entry = next(it for it in json.loads((folder / "manifest.json").read_text())["shards"] if it["name"] == made.name)
    aside = folder / ".unfinished" / "repaired"
    aside.mkdir(parents=True)
    (aside.parent / "settings.json").write_text("{}")
    (aside / made.name).with_suffix(".json").write_text(json.dumps(entry | {"rejected": []}))
    made.rename(aside / made.name)
    begun.rename(aside / f"{begun.name}.12345678.part")
    stamp = (aside / made.name).stat().st_mtime_ns
    status, said = verify(folder, "--repair")
    assert status == 0, said
    assert made.stat().st_mtime_ns == stamp
    assert contents(folder) == contents(shards) | {".unfinished/settings.json": b"{}"}


def test_repair_keeps_out_of_a_folder_in_use(verify, folder):
    min(folder.glob("train-*")).unlink()
    with locked(folder):
        status, said = verify(folder, "--repair")
        assert (status, f"process {os.getpid()}" in " ".join(said)) == (1, True), said
        status, said = verify(folder)
        assert (status, "is missing" in said[0]) == (1, True)


def test_repair_refuses_another_source_by_name(verify, preprocess, photos, tmp_path, contents):
    for path in (photos.folder, photos.attributes):
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, tmp_path / path.name)
    source, attributes = tmp_path / photos.folder.name, tmp_path / photos.attributes.name
    out = tmp_path / "data"
    status, said = preprocess("--source", source, "--attributes", attributes, "--shard-images", 15, "--out", out)
    assert status == 0, said
    min(out.glob("*.tfrecord")).unlink()
    before = contents(out)

    attributes.write_text(attributes.read_text().replace(" 1", " -1", 1))
    photo = min(source.iterdir())
    photo.write_bytes(photo.read_bytes() + b"\0")
    status, said = verify(out, "--repair")
    assert status == 2
    assert [line.split(":")[0].strip() for line in said if " -> " in line and "(old" not in line] == [
        "settings.attributes.sha256",
        "source.fingerprint",
    ]
    shutil.rmtree(source)
    status, said = verify(out, "--repair")
    assert status == 2
    assert any(f"{source} is gone" in line for line in said)
    assert contents(out) == before


def test_repair_that_comes_to_other_bytes_keeps_the_old_ones(verify, folder, contents):
    name = min(path.name for path in folder.glob("train-*"))
    edit(folder / "manifest.json", lambda it: it["versions"].update(pillow="0.1"))
    edit(
        folder / "manifest.json",
        lambda it: next(shard for shard in it["shards"] if shard["name"] == name).update(sha256="0" * 64),
    )
    before = contents(folder)
    status, said = verify(folder, "--repair")
    assert status == 1
    assert any(line.startswith(f"{name}: made again it has other bytes") and "pillow 0.1" in line for line in said)
    after = contents(folder)
    assert {key: after[key] for key in after if key.endswith("tfrecord")} == {
        key: before[key] for key in before if key.endswith("tfrecord")
    }
    assert after.keys() == before.keys()


def test_lists_that_were_moved_are_the_same_lists(preprocess, photos, shards, tmp_path):
    moved = [shutil.copy2(path, tmp_path) for path in (photos.attributes, photos.partitions)]
    status, said = preprocess(
        *("--source", photos.zip, "--attributes", moved[0], "--partitions", moved[1], "--shard-images", 7),
        *("--out", shards),
    )
    assert (status, "is up to date" in said) == (0, True), said


def test_a_folder_without_manifest_is_said_with_what_to_do(verify, folder, tmp_path):
    (folder / "manifest.json").unlink()
    for path in (folder, tmp_path):
        status, said = verify(path)
        assert (status, "no manifest.json" in said[-1] or "no manifest.json" in " ".join(said)) == (2, True)
    assert verify(tmp_path / "nothing")[0] == 2


def test_rejected_photos_are_held_against_the_manifest(verify, folder):
    (folder / "rejected.jsonl").write_text('{"id": "a.jpg", "reason": "empty file"}\n')
    status, said = verify(folder)
    assert status == 1
    assert said[:-1] == ["rejected.jsonl: is missing, or differs from the manifest"]
    edit(folder / "manifest.json", lambda it: it.update(rejected={"empty file": 1}))
    assert verify(folder)[0] == 0


def test_a_photo_in_two_records_is_named(verify, folder):
    one, other = sorted(folder.glob("train-*"))[:2]
    (_, length), (at, _) = frames(one)[0], frames(other)[1]
    photo = one.read_bytes()[: length + 16]
    other.write_bytes(other.read_bytes()[:at] + photo + other.read_bytes()[at + length + 16 :])
    status, said = verify(folder)
    assert status == 1
    assert any(
        line.startswith(f"{other.name}: record 1 at byte {at}: '") and f"in record 0 of {one.name}" in line
        for line in said
    )


def by_tensorflow(path: Path, photos: list[dict[str, list]]) -> Expected:
    """Write these features as records; return what a manifest would say of the file."""
    import tensorflow as tf

    def feature(values: list):
        if isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    with tf.io.TFRecordWriter(str(path)) as writer:
        for photo in photos:
            features = tf.train.Features(feature={name: feature(values) for name, values in photo.items()})
            writer.write(tf.train.Example(features=features).SerializeToString(deterministic=True))
    data = path.read_bytes()
    shard = Shard(path.name, "train", len(photos), len(data), hashlib.sha256(data).hexdigest(), ())
    return Expected(path.parent, shard, IMAGE, ATTRIBUTES)


NOT_AS_LISTED = "it is not an Example of an image_id, 4 attributes and an image of 4,096 bytes"
GOOD = {"image": [bytes(range(256)) * 16], "image_id": [b"000001.jpg"], "attributes": [0, 1, 1, 0]}


@pytest.mark.parametrize(
    ("photo", "what"),
    [
        ({"image": [bytes(IMAGE - 1)]}, NOT_AS_LISTED),
        ({"image": [bytes(9 * IMAGE)]}, NOT_AS_LISTED),
        ({"attributes": [0, 1, 1]}, NOT_AS_LISTED),
        ({"attributes": None}, NOT_AS_LISTED),
        ({"image_id": [b""]}, "its image_id is empty"),
        ({"image_id": None}, NOT_AS_LISTED),
        ({"image": None}, NOT_AS_LISTED),
        ({"image_id": [b"\xff.jpg"]}, NOT_AS_LISTED),
        ({"image": [7]}, NOT_AS_LISTED),
        ({"image": [bytes(IMAGE), b""]}, NOT_AS_LISTED),
        ({"attributes": [0, 1, 2, 0]}, NOT_AS_LISTED),
        ({"attributes": [0, 1, -1, 0]}, NOT_AS_LISTED),
        ({"label": [1]}, NOT_AS_LISTED),
    ],
)
def test_records_of_another_shape_are_named_though_their_bytes_are_whole(tmp_path, photo, what):
    odd = {name: values for name, values in (GOOD | photo).items() if values is not None}
    expected = by_tensorflow(tmp_path / "a.tfrecord", [GOOD, odd, GOOD])
    (at, length), *_ = frames(tmp_path / "a.tfrecord")[1:]
    found = check_shard(expected)
    assert found.is_as_made
    assert found.faults == [f"record 1 at byte {at}: {what}", "has 2 whole records; the manifest says 3"]
    assert found.ids == [("000001.jpg", 0, 0), ("000001.jpg", 2, at + length + 16)]


def test_what_tensorflow_writes_is_whole(tmp_path):
    found = check_shard(by_tensorflow(tmp_path / "a.tfrecord", [GOOD] * 3))
    assert (found.is_as_made, found.faults, len(found.ids)) == (True, [], 3)
    found = check_shard(by_tensorflow(tmp_path / "empty.tfrecord", []))
    assert found == (True, [], [])


def test_a_compressed_shard_is_not_read_as_records(tmp_path):
    expected = by_tensorflow(tmp_path / "a.tfrecord", [GOOD] * 3)
    data = gzip.compress((tmp_path / "a.tfrecord").read_bytes())
    (tmp_path / "a.tfrecord").write_bytes(data)
    found = check_shard(expected)
    assert not found.is_as_made
    assert found.faults[1] == "record 0 at byte 0: its length is damaged, so what follows cannot be read"


def test_a_shard_that_the_disk_cannot_read_is_said(tmp_path, monkeypatch):
    def failing(file):
        yield from list(read_records(file))[:1]
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    expected = by_tensorflow(tmp_path / "a.tfrecord", [GOOD] * 3)
    monkeypatch.setattr("preprocess.verify.read_records", failing)
    assert check_shard(expected) == (False, ["cannot be read: Input/output error"], [])


def test_of_many_findings_the_first_are_listed_and_the_rest_is_counted():
    findings = [("a", f"{number}") for number in range(2000)] + [("b", "x")]
    lines = list(report_lines(findings))
    assert lines == [f"a: {number}" for number in range(20)] + ["b: x", "a: 1,980 more findings"]


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


@settings(deadline=None, max_examples=100, derandomize=True)
@given(data=st.data())
def test_a_damaged_manifest_gives_expectations_or_one_sentence(shards, data):
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
        expected, documents = expectations(shards, changed(manifest, path, value))
    except click.ClickException as error:
        assert "manifest.json is damaged" in error.message
    else:
        assert set(documents) == {"features.json", "dataset_info.json"}
        assert all(isinstance(it, Expected) for it in expected)


@pytest.mark.parametrize("content", [None, b"rubbish\n", b""])
def test_repair_writes_the_list_of_rejected_photos_again(verify, preprocess, photos, contents, tmp_path, content):
    """From the photos themselves: the manifest has only how many were rejected, and why."""
    shutil.copytree(photos.folder, tmp_path / "photos")
    (tmp_path / "photos" / "empty.jpg").write_bytes(b"")
    (tmp_path / "photos" / "text.png").write_bytes(b"<html>")
    (tmp_path / "photos" / "again").mkdir()
    shutil.copy(photos.folder / min(photos.rows), tmp_path / "photos" / "again")
    out = tmp_path / "data"
    same = ["--source", tmp_path / "photos", "--out", out, "--shard-images", 7, "--max-rejected", 0.1]
    assert preprocess(*same)[0] == 0
    before = contents(out)
    assert before["rejected.jsonl"].count(b"\n") == 3
    times = stamps(out)
    (out / "rejected.jsonl").unlink()
    if content is not None:
        (out / "rejected.jsonl").write_bytes(content)
    assert verify(out)[0] == 1
    status, said = verify(out, "--repair")
    assert status == 0, said
    assert contents(out) == before
    assert {name: stamp for name, stamp in stamps(out).items() if name.endswith(".tfrecord")} == {
        name: stamp for name, stamp in times.items() if name.endswith(".tfrecord")
    }
