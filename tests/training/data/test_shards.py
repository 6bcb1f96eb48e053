import json
import os
import shlex

import pytest
from click import UsageError

from tests.training.shards_by_tensorflow import numbered_images, write_shards
from training.data.cache import ShardCache
from training.data.shards import are_unchanged, find


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


@pytest.fixture
def incomplete(shard_folder):
    """The folder without its second train shard, of 35 photos, and its only valid shard, of 20."""
    for name in ("train-00001-of-00003.tfrecord", "valid-00000-of-00001.tfrecord"):
        (shard_folder / name).unlink()
    return shard_folder


@pytest.mark.parametrize("spelling", ["a folder", "a pattern", "the shell's list"])
def test_a_folder_that_lacks_shards_of_its_manifest_is_refused_and_they_are_named(incomplete, spelling):
    patterns = {"a folder": [incomplete], "a pattern": [incomplete / "*.tfrecord"]}
    message = refused(*patterns.get(spelling, sorted(incomplete.glob("*.tfrecord"))))
    assert "2 of the 4 shards in its manifest are missing, with 55 of 120 photos" in message
    assert "train-00001-of-00003.tfrecord, valid-00000-of-00001.tfrecord." in message
    assert f"python -m preprocess.verify --repair {incomplete}" in message


def test_a_folder_whose_shards_are_all_missing_names_the_first_of_them(shard_folder):
    for path in shard_folder.glob("*.tfrecord"):
        path.unlink()
    assert "4 of the 4 shards in its manifest are missing" in refused(shard_folder)
    write_shards(shard_folder, numbered_images(30), (1,) * 30, split="test")
    for path in shard_folder.glob("*.tfrecord"):
        path.unlink()
    message = refused(shard_folder)
    assert message.count(".tfrecord") == 12
    assert "and 22 more" in message


def test_the_shells_list_of_one_split_lacks_the_shards_of_that_split_alone(incomplete):
    write_shards(incomplete, numbered_images(20), (20,), split="test")
    message = refused(*incomplete.glob("train-*"))
    assert "1 of the 5 shards" in message
    assert "train-00001-of-00003.tfrecord" in message


def test_some_of_the_shards_of_an_incomplete_folder_can_be_chosen(incomplete):
    first, last = (incomplete / f"train-{number:05}-of-00003.tfrecord" for number in (0, 2))
    assert find([str(first)]).count == 40  # by name
    last.unlink()
    advised = refused(first).rpartition(": ")[2]  # by the pattern of the message: it is all that is there
    assert find(shlex.split(advised)).count == 40


def test_a_link_to_a_shard_that_is_gone_is_a_missing_shard(incomplete):
    (incomplete / "train-00001-of-00003.tfrecord").symlink_to(incomplete / "gone")
    assert "2 of the 4 shards in its manifest are missing" in refused(incomplete)


def test_files_that_are_no_shards_of_the_folder_are_passed_over(shard_folder):
    expected = find([str(shard_folder)])
    for name in ("._train-00000-of-00003.tfrecord", "train-00000-of-00003.tfrecord.part", "a.tfrecord.gz"):
        (shard_folder / name).write_bytes(b"x")
    assert find([str(shard_folder)]) == find([f"{shard_folder}/*.tfrecord"]) == expected


def test_an_unfinished_stage_1_is_said_to_be_so(tmp_path):
    (tmp_path / ".unfinished").mkdir()
    assert "Stage 1 has not finished there" in refused(tmp_path)


@pytest.mark.parametrize("name", ["a [2021] copy", "what? *", "~", b"caf\xe9"])
def test_of_a_pattern_the_part_that_is_a_folder_is_taken_as_it_is_written(shard_folder, name):
    place = shard_folder.rename(shard_folder.with_name(os.fsdecode(name)))
    write_shards(place.with_name("a 2 copy"), numbered_images(10, 8), (10,))  # what the brackets would match
    expected = find(map(str, place.glob("*.tfrecord")))
    for pattern in ("", "/", "/*.tfrecord", "/[tv]*-0000?-*"):
        assert find([f"{place}{pattern}"]) == expected


def test_patterns_reach_folders_and_the_home_of_the_user(shard_folder, monkeypatch):
    expected = find([str(shard_folder)])
    monkeypatch.setenv("HOME", str(shard_folder.parent))
    for pattern in (
        "~/data",
        "~/data/*.tfrecord",
        f"{shard_folder.parent}/d?ta",
        f"{shard_folder.parent}/**/*.tfrecord",
    ):
        assert find([pattern]) == expected


def test_a_path_that_the_disk_refuses_is_one_message(tmp_path):
    assert "File name too long" in refused(tmp_path / ("a" * 300))


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
    given = [with_attributes(first, ["Bald", "Young"])]
    assert find(given).attribute_names == ["Bald", "Young"]
    given.append(with_attributes(second, ["Bald", "Young"]))
    assert find(given).attribute_names == ["Bald", "Young"]
    with_attributes(second, ["Young", "Bald"])
    with pytest.raises(UsageError, match=r"first and .*second list different attributes"):
        find(given).attribute_names  # noqa: B018
    with_attributes(second, None)
    with pytest.raises(UsageError, match=rf"The shards in {second} have no attributes"):
        find(given).attribute_names  # noqa: B018


class TestAtUrls:
    """What a manifest in a bucket, on a web server or on the Hub says, in one request."""

    @pytest.fixture
    def cache(self, tmp_path):
        return ShardCache(tmp_path / "cache", 10**9)

    @pytest.fixture
    def url(self, bucket, shard_folder):
        bucket.objects["bucket/data/manifest.json"] = (shard_folder / "manifest.json").read_bytes()
        return "s3://bucket/data"

    def test_a_folder_has_the_shards_that_it_has_on_a_disk(self, url, bucket, cache, shard_folder):
        there, here = find([url + "/"], cache=cache), find([str(shard_folder)])
        assert there.fingerprint == here.fingerprint
        assert [str(shard.path) for shard in there.shards] == [f"{url}/{shard.path.name}" for shard in here.shards]
        assert len(bucket.log) == 1
        assert are_unchanged(there)

    def test_a_pattern_or_names_are_those_in_the_manifest(self, url, cache):
        train = find([f"{url}/train-*"], cache=cache)
        assert train == find([url], cache=cache).only({"train"})
        names = [f"{url}/{shard.path.name}" for shard in train.shards]
        assert find([names[2], names[0]], cache=cache).shards == (train.shards[0], train.shards[2])

    def test_it_may_be_mixed_with_folders(self, url, cache, shard_folder):
        both = find([url, shard_folder], cache=cache)
        assert [shard.count for shard in both.shards] == [40, 35, 25, 20] * 2
        assert both.shards[0].folder == shard_folder

    def test_web_servers_and_the_hub_need_no_listing(self, url, bucket, cache):
        bucket.objects["datasets/o/n/resolve/v1/manifest.json"] = bucket.objects["bucket/data/manifest.json"]
        for other in (f"http://127.0.0.1:{bucket.port}/bucket/data", "hf://datasets/o/n@v1"):
            assert find([other], cache=cache).fingerprint == find([url], cache=cache).fingerprint

    def test_what_is_not_there_is_named(self, url, bucket, cache):
        for pattern, message in (
            ("s3://bucket/other", "s3://bucket/other/manifest.json is missing: .*If they were copied, copy it too"),
            (f"{url}/test-*", "s3://bucket/data/test-[*]: s3://bucket/data/manifest.json lists no such shards"),
        ):
            with pytest.raises(UsageError, match=message):
                find([pattern], cache=cache)
        bucket.objects["bucket/data/manifest.json"] = bucket.objects["bucket/data/manifest.json"].replace(
            b'"sha256": "', b'"sha256": "../'
        )
        with pytest.raises(UsageError, match=r"manifest.json cannot be read .*64 hexadecimal digits"):
            find([url], cache=cache)

    def test_networks_and_features_of_them_need_a_local_folder(self, url, cache, tmp_path):
        assert find([url], tmp_path, cache).features_dir == tmp_path
        with pytest.raises(UsageError, match=r"s3://bucket/data/features cannot be .*--features-dir"):
            find([url], cache=cache).features_dir  # noqa: B018 - raises
