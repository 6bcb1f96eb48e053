import json

import pytest
from click import UsageError

from tests.training.shards_by_tensorflow import numbered_images, write_shards
from training.data.shards import attribute_names, find, origin


def test_the_three_spellings_find_the_same(shard_folder):
    unquoted = find(sorted(map(str, shard_folder.glob("*.tfrecord"))))
    assert unquoted == find([f"{shard_folder}/*.tfrecord"]) == find([str(shard_folder)])
    assert [(shard.split, shard.count) for shard in unquoted.shards] == [
        ("train", 40),
        ("train", 35),
        ("train", 25),
        ("valid", 20),
    ]
    assert unquoted.image_shape == (16, 16, 1)


def test_only_and_first_keep_the_order(shard_folder):
    train = find([str(shard_folder)]).only({"train"})
    assert train.count == 100
    assert [shard.count for shard in train.first(50).shards] == [40, 10]
    assert train.first(1000) == train


def test_the_fingerprint_is_of_the_images_and_not_of_the_place(shard_folder, tmp_path):
    before = find([str(shard_folder)])
    shard_folder.rename(tmp_path / "elsewhere")
    after = find([str(tmp_path / "elsewhere")])
    assert before.fingerprint == after.fingerprint
    assert after.fingerprint != after.only({"train"}).fingerprint
    assert after.fingerprint != after.first(99).fingerprint


def refused(*patterns):
    with pytest.raises(UsageError) as error:
        find(map(str, patterns))
    return error.value.message


def test_what_is_not_there_is_named(tmp_path):
    assert str(tmp_path / "no" / "*.tfrecord") in refused(tmp_path / "no" / "*.tfrecord")
    assert "preprocess.run" in refused(tmp_path)


def test_shards_without_a_manifest_are_refused_with_the_command_that_makes_them(shard_folder):
    (shard_folder / "manifest.json").unlink()
    message = refused(shard_folder)
    assert "manifest.json is missing" in message
    assert "preprocess.run" in message


def test_a_manifest_with_a_byte_order_mark_is_the_same_manifest(shard_folder):
    before = find([str(shard_folder)])
    path = shard_folder / "manifest.json"
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert find([str(shard_folder)]) == before


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"image": {"shape": ["x"]}, "shards": []}', '{"image": 1, "shards": []}']
)
def test_a_manifest_of_rubbish_is_named(shard_folder, content):
    (shard_folder / "manifest.json").write_text(content)
    assert "manifest.json cannot be read" in refused(shard_folder)


def test_a_shard_that_the_manifest_does_not_list_is_refused(shard_folder):
    (shard_folder / "stray.tfrecord").write_bytes(b"")
    assert "stray.tfrecord" in refused(shard_folder)


def test_a_truncated_shard_is_named_before_anything_runs(shard_folder):
    path = shard_folder / "train-00001-of-00003.tfrecord"
    path.write_bytes(path.read_bytes()[:-1])
    message = refused(shard_folder)
    assert path.name in message
    assert "preprocess.verify" in message


def test_something_else_than_a_shard_is_refused(shard_folder):
    assert "not a shard" in refused(shard_folder / "manifest.json")


def with_attributes(folder, listed):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "attribute_names": listed}))
    return str(folder)


def test_shards_of_two_shapes_are_refused_and_both_are_named(tmp_path):
    for name, side in (("small", 8), ("large", 16)):
        write_shards(tmp_path / name, numbered_images(4, side), (4,))
    with pytest.raises(UsageError, match=r"large holds 16x16x1; .*small holds 8x8x1\. Name one folder"):
        find([str(tmp_path / "small"), str(tmp_path / "large")])
    assert find([str(tmp_path / "small")]).image_shape == (8, 8, 1)


def test_attributes_are_those_of_all_folders(tmp_path):
    for name in ("first", "second"):
        write_shards(tmp_path / name, numbered_images(10), (10,))
    first, second = tmp_path / "first", tmp_path / "second"
    assert attribute_names(find([with_attributes(first, ["Bald", "Young"])])) == ["Bald", "Young"]
    both = find([str(first), with_attributes(second, ["Bald", "Young"])])
    assert attribute_names(both) == ["Bald", "Young"]
    with_attributes(second, ["Young", "Bald"])
    with pytest.raises(UsageError, match=r"first and .*second list different attributes|second and .*first list"):
        attribute_names(both)
    with_attributes(second, None)
    with pytest.raises(UsageError, match=rf"The shards in {second} have no attributes"):
        attribute_names(both)


def test_the_origin_is_what_the_manifest_says(tmp_path):
    write_shards(tmp_path, numbered_images(10), (10,))
    found = find([str(tmp_path)])
    assert origin(found) == {"source": None, "crop": None, "image_shape": [16, 16, 1]}
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest |= {"source": {"fingerprint": "abc"}, "settings": {"crop": {"name": "progan"}}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert origin(found) == {"source": "abc", "crop": {"name": "progan"}, "image_shape": [16, 16, 1]}
