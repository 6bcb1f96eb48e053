"""Damage is mended to the same bytes, or the folder stays as it is."""

import json
import os
import shutil

from system.lock import locked
from tests.preprocess.damage import damage, edit, stamps


def test_repair_brings_the_same_bytes_back(verify, folder, shards, contents):
    damage(folder)
    before = stamps(folder)
    extra = (folder / "train-00000-of-00009.tfrecord").read_bytes()
    status, output = verify(folder, "--repair", "--workers", 2)
    assert status == 1
    assert output[-2] == "train-00000-of-00009.tfrecord: is not in the manifest: move it away, as training refuses it"
    assert contents(folder) == contents(shards) | {"train-00000-of-00009.tfrecord": extra}
    assert not (folder / ".unfinished").exists()
    untouched = [name for name in contents(shards) if name.endswith("tfrecord") and name in before]
    assert sum(before[name] == stamps(folder)[name] for name in untouched) == len(untouched) - 6
    (folder / "train-00000-of-00009.tfrecord").unlink()
    assert verify(folder, "--repair")[0] == 0


def test_repair_goes_on_where_it_was_killed_and_leaves_an_unfinished_run_alone(verify, folder, shards, contents):
    made, begun, *_ = sorted(folder.glob("train-*"))
    listed = json.loads((folder / "manifest.json").read_text())["shards"]
    entry = next(shard for shard in listed if shard["name"] == made.name)
    aside = folder / ".unfinished" / "repaired"
    aside.mkdir(parents=True)
    (aside.parent / "settings.json").write_text("{}")
    (aside / made.name).with_suffix(".json").write_text(json.dumps(entry | {"rejected": []}))
    made.rename(aside / made.name)
    begun.rename(aside / f".partial-12345678-{begun.name}")
    stamp = (aside / made.name).stat().st_mtime_ns
    status, output = verify(folder, "--repair")
    assert status == 0, output
    assert made.stat().st_mtime_ns == stamp
    assert contents(folder) == contents(shards) | {".unfinished/settings.json": b"{}"}


def test_repair_keeps_out_of_a_folder_in_use(verify, folder):
    min(folder.glob("train-*")).unlink()
    with locked(folder):
        status, output = verify(folder, "--repair")
        assert (status, f"process {os.getpid()}" in " ".join(output)) == (1, True), output
        status, output = verify(folder)
        assert (status, "is missing" in output[0]) == (1, True)


def test_repair_refuses_another_source_by_name(verify, preprocess, photos, tmp_path, contents):
    for path in (photos.folder, photos.attributes):
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, tmp_path / path.name)
    source, attributes = tmp_path / photos.folder.name, tmp_path / photos.attributes.name
    out = tmp_path / "data"
    status, output = preprocess("--source", source, "--attributes", attributes, "--shard-images", 15, "--out", out)
    assert status == 0, output
    min(out.glob("*.tfrecord")).unlink()
    before = contents(out)

    attributes.write_text(attributes.read_text().replace(" 1", " -1", 1))
    photo = min(source.iterdir())
    photo.write_bytes(photo.read_bytes() + b"\0")
    status, output = verify(out, "--repair")
    assert status == 2
    assert [line.split(":")[0].strip() for line in output if " -> " in line and "(old" not in line] == [
        "settings.attributes.sha256",
        "source.fingerprint (names, sizes and dates of the photos)",
    ]
    shutil.rmtree(source)
    status, output = verify(out, "--repair")
    assert status == 2
    assert any(f"{source} is gone" in line for line in output)
    assert contents(out) == before


def test_repair_that_comes_to_other_bytes_keeps_the_old_ones(verify, folder, contents):
    name = min(path.name for path in folder.glob("train-*"))
    edit(folder / "manifest.json", lambda manifest: manifest["versions"].update(pillow="0.1"))
    edit(
        folder / "manifest.json",
        lambda manifest: next(shard for shard in manifest["shards"] if shard["name"] == name).update(sha256="0" * 64),
    )
    before = contents(folder)
    status, output = verify(folder, "--repair")
    assert status == 1
    assert any(line.startswith(f"{name}: made again it has other bytes") and "pillow 0.1" in line for line in output)
    after = contents(folder)
    assert {key: after[key] for key in after if key.endswith("tfrecord")} == {
        key: before[key] for key in before if key.endswith("tfrecord")
    }
    assert after.keys() == before.keys()


def test_repair_writes_the_list_of_rejected_photos_again(verify, preprocess, photos, contents, tmp_path):
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
    (out / "rejected.jsonl").write_bytes(b"rubbish\n")
    assert verify(out)[0] == 1
    status, output = verify(out, "--repair")
    assert status == 0, output
    assert contents(out) == before
    assert {name: stamp for name, stamp in stamps(out).items() if name.endswith(".tfrecord")} == {
        name: stamp for name, stamp in times.items() if name.endswith(".tfrecord")
    }
