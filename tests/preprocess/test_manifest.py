"""A finished folder, read by programs that know nothing of ours."""

import hashlib
import json

import pytest

from preprocess.crop import parse, pixels
from preprocess.manifest import differences, recipe

ATTRIBUTES = ["Bald", "Eyeglasses", "Smiling", "Young"]


@pytest.fixture(scope="module")
def expected(photos) -> dict[str, dict[str, tuple[bytes, tuple[int, ...]]]]:
    """Pixels and attributes of each id in each split."""
    held = {"train": {}, "valid": {}, "test": {}}
    for photo_id, split in photos.splits.items():
        photo = (photos.folder / photo_id).read_bytes()
        held[split][photo_id] = pixels(photo, parse("progan")), photos.rows[photo_id]
    return held


def test_tfds_reads_it_without_our_code(shards, expected):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(shards)
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {
        split: len(held) for split, held in expected.items()
    }
    for split, held in expected.items():
        rows = tfds.as_numpy(builder.as_dataset(split=split))
        rows_read = {
            row["image_id"].decode(): (row["image"].tobytes(), tuple(map(int, row["attributes"])))
            for row in rows
            if row["image"].shape == (64, 64, 1)
        }
        assert rows_read == held


def test_the_manifest_tells_what_is_there(shards, photos):
    manifest = json.loads((shards / "manifest.json").read_text())
    assert manifest["attribute_names"] == ATTRIBUTES
    assert manifest["image"] == {"shape": [64, 64, 1], "dtype": "uint8"}
    assert manifest["rejected"] == {}
    assert manifest["source"]["paths"] == [str(photos.zip)]
    assert manifest["settings"]["crop"]["box"] == [25, 57, 153, 185]
    assert [shard["name"] for shard in manifest["shards"]] == [
        path.name for split in ("train", "valid", "test") for path in sorted(shards.glob(f"{split}-*.tfrecord"))
    ]
    for shard in manifest["shards"]:
        data = (shards / shard["name"]).read_bytes()
        assert (shard["bytes"], shard["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    counts = {
        split: sum(s["count"] for s in manifest["shards"] if s["split"] == split) for split in photos.splits.values()
    }
    assert counts == {split: list(photos.splits.values()).count(split) for split in counts}


def test_recipes_differ_in_what_decides_the_bytes():
    old = recipe({"seed": 0, "crop": {"box": (1, 2)}}, {"paths": ["/a"], "fingerprint": "a" * 64})
    assert differences(old | {"shards": []}, old) == []
    assert differences(old, recipe({"seed": 0, "crop": {"box": [1, 2]}}, old["source"] | {"paths": ["/b", "/c"]})) == []
    new = recipe({"seed": 1, "crop": {"box": None}}, {"paths": ["/a"], "fingerprint": "b" * 64})
    assert differences(old, new) == [
        "settings.crop.box: [1, 2] -> null",
        "settings.seed: 0 -> 1",
        "source.fingerprint (names, sizes and dates of the photos): aaaaaaaaaaaa -> bbbbbbbbbbbb",
    ]
