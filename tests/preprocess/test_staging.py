"""From unfinished to finished, cut short at every step."""

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from preprocess import dataset, staging


def recipe(seed: int = 0, path: str = "/photos.zip") -> dict:
    return dataset.recipe({"seed": seed, "crop": {"box": (1, 2, 3, 4)}}, {"paths": [path], "fingerprint": "f" * 64})


def manifest(seed: int, shards: dict[str, bytes]) -> dict:
    listed = [{"name": name, "split": "train", "count": 1, "bytes": len(data)} for name, data in shards.items()]
    return recipe(seed) | {"shards": listed}


OLD = {"train-0.tfrecord": b"old 0", "train-1.tfrecord": b"old one", "train-2.tfrecord": b"old 2"}
NEW = {"train-0.tfrecord": b"new", "train-1.tfrecord": b"new 1"}
DOCUMENTS = ("rejected.jsonl", {"features": 1}, {"info": 1})


def stage(out: Path, seed: int, shards: dict[str, bytes]) -> None:
    staged = staging.begin(out, recipe(seed), {}, overwrite=True)
    for name, data in shards.items():
        (staged / name).write_bytes(data)
        (staged / name).with_suffix(".json").write_text("{}")
    staging.complete(out, *DOCUMENTS, manifest(seed, shards))


def shards_in(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.tfrecord")}


def test_shards_are_published_with_their_documents_and_nothing_else(tmp_path):
    stage(tmp_path, 0, OLD)
    assert shards_in(tmp_path) == {}
    staging.publish(tmp_path)
    assert shards_in(tmp_path) == OLD
    assert {path.name for path in tmp_path.iterdir()} == {
        *OLD,
        "rejected.jsonl",
        "features.json",
        "dataset_info.json",
        "manifest.json",
    }
    assert staging.finished(tmp_path) == manifest(0, OLD)
    assert staging.is_up_to_date(tmp_path, recipe(0))


class Killed(BaseException):
    """What a kill is to the program: nothing after it happens."""


class Steps:
    """Lets what changes the disk happen `left` times; then it kills."""

    def __init__(self, left: int):
        self.left = left

    def counted(self, act):
        def step(*arguments, **options):
            self.left -= 1
            if self.left < 0:
                raise Killed
            return act(*arguments, **options)

        return step

    def removing(self, folder: Path) -> None:
        """Remove a folder, a file to a step; in no order that could be relied on."""
        for path in sorted(folder.iterdir()):
            path.unlink()
        folder.rmdir()


def test_publishing_goes_on_after_a_kill_at_any_step(tmp_path, monkeypatch):
    for at in range(100):
        out = tmp_path / str(at)
        stage(out, 0, OLD)
        staging.publish(out)
        (out / "mine.txt").write_text("of the user")
        stage(out, 1, NEW)
        assert shards_in(out) == OLD  # until the new ones are complete
        steps = Steps(at)
        with monkeypatch.context() as patch:
            for name in ("replace", "unlink", "rmdir"):
                patch.setattr(Path, name, steps.counted(getattr(Path, name)))
            patch.setattr(shutil, "rmtree", steps.removing)
            try:
                staging.publish(out)
                was_killed = False
            except Killed:
                was_killed = True
        now = staging.finished(out)
        if now is not None:  # whoever reads meanwhile never finds a manifest with other shards than it names
            held = shards_in(out)
            assert all(len(held[shard["name"]]) == shard["bytes"] for shard in now["shards"])
        staging.publish(out)
        assert shards_in(out) == NEW
        assert staging.is_up_to_date(out, recipe(1))
        assert (out / "mine.txt").exists()
        if not was_killed:
            assert at > 10
            return
    pytest.fail("publishing took more than 99 steps")


def begun(staged: Path, count: int) -> None:
    """A shard that a run finished before it was cut short."""
    (staged / "train-0.tfrecord").write_bytes(b"made")
    (staged / "train-0.json").write_text(f'{{"count": {count}}}')


def test_where_no_photo_was_used_another_recipe_begins_anew(tmp_path):
    """As after --crop progan found no photo of its size: nothing is lost, and --crop center is what was advised."""
    begun(staging.begin(tmp_path, recipe(0), {}, overwrite=False), count=0)
    staged = staging.begin(tmp_path, recipe(1), {}, overwrite=False)
    assert not (staged / "train-0.tfrecord").exists()


def test_shards_of_two_versions_are_not_mixed(tmp_path):
    old, new = {"pillow": "12.0", "libjpeg_turbo": "3.1"}, {"pillow": "13.0", "libjpeg_turbo": "3.1"}
    staged = staging.begin(tmp_path, recipe(0), old, overwrite=False)
    begun(staged, count=1)
    with pytest.raises(click.UsageError, match=r"made with pillow 12\.0, .*; this is pillow 13\.0"):
        staging.begin(tmp_path, recipe(0), new, overwrite=False)
    assert staging.begin(tmp_path, recipe(0), old, overwrite=False) == staged
    assert (staged / "train-0.tfrecord").exists()
    staging.begin(tmp_path, recipe(0), new, overwrite=True)
    assert not (staged / "train-0.tfrecord").exists()
    aside = staging.repair_folder(tmp_path, old)
    begun(aside, count=1)
    assert (staging.repair_folder(tmp_path, old) / "train-0.tfrecord").exists()
    assert not (staging.repair_folder(tmp_path, new) / "train-0.tfrecord").exists()


def test_what_a_version_that_kept_no_versions_began_is_continued(tmp_path):
    staged = staging.begin(tmp_path, recipe(0), {"pillow": "13.0"}, overwrite=False)
    begun(staged, count=1)
    (staged / "settings.json").write_text(json.dumps(recipe(0)))
    assert staging.begin(tmp_path, recipe(0), {"pillow": "13.0"}, overwrite=False) == staged
    assert (staged / "train-0.tfrecord").exists()


def test_what_was_begun_is_continued_under_the_same_recipe_alone(tmp_path):
    staged = staging.begin(tmp_path, recipe(0), {}, overwrite=False)
    begun(staged, count=1)
    assert staging.begin(tmp_path, recipe(0, path="/moved.zip"), {}, overwrite=False) == staged
    assert (staged / "train-0.tfrecord").exists()
    with pytest.raises(click.UsageError, match=r"unfinished.*\n.*settings.seed: 0 -> 1"):
        staging.begin(tmp_path, recipe(1), {}, overwrite=False)
    assert (staged / "train-0.tfrecord").exists()
    staging.begin(tmp_path, recipe(1), {}, overwrite=True)
    assert not (staged / "train-0.tfrecord").exists()


def test_what_a_killed_run_was_writing_is_removed(tmp_path):
    staged = staging.begin(tmp_path, recipe(0), {}, overwrite=False)
    for name in ("train-0.tfrecord", "train-1.tfrecord.5a.part", "settings.json.77.part"):
        (staged / name).write_bytes(b"made")
    staging.begin(tmp_path, recipe(0), {}, overwrite=False)
    assert {path.name for path in staged.iterdir()} == {"train-0.tfrecord", "settings.json"}


def test_publishing_goes_on_after_a_real_kill(tmp_path):
    program = f"import pathlib, preprocess.staging as s; s.publish(pathlib.Path({str(tmp_path)!r}))"
    rng = random.Random(0)
    versions = [{f"train-{n + 50 * seed}.tfrecord": b"%d" % (n * seed) for n in range(100)} for seed in range(5)]
    stage(tmp_path, 0, versions[0])
    staging.publish(tmp_path)
    for seed in range(1, len(versions)):
        stage(tmp_path, seed, versions[seed])
        publishing = subprocess.Popen([sys.executable, "-c", program])
        while publishing.poll() is None and staging.finished(tmp_path) == manifest(seed - 1, versions[seed - 1]):
            time.sleep(0.001)
        time.sleep(rng.random() * 0.01)  # publishing takes about that
        publishing.kill()
        publishing.wait()
        assert staging.finished(tmp_path) is None or shards_in(tmp_path) == versions[seed]
        staging.publish(tmp_path)
        assert staging.finished(tmp_path) == manifest(seed, versions[seed])
        assert shards_in(tmp_path) == versions[seed]


def test_finished_shards_of_another_recipe_are_refused(tmp_path):
    stage(tmp_path, 0, OLD)
    staging.publish(tmp_path)
    with pytest.raises(click.UsageError, match=r"settings.seed: 0 -> 1"):
        staging.begin(tmp_path, recipe(1), {}, overwrite=False)
    assert not staging.is_up_to_date(tmp_path, recipe(1))


def test_finished_shards_that_are_damaged_are_not_up_to_date(tmp_path):
    stage(tmp_path, 0, OLD)
    staging.publish(tmp_path)
    (tmp_path / "train-1.tfrecord").write_bytes(b"cut")
    assert not staging.is_up_to_date(tmp_path, recipe(0))
    with pytest.raises(click.UsageError, match="missing or cut short"):
        staging.begin(tmp_path, recipe(0), {}, overwrite=False)


@pytest.mark.parametrize("name", ["a.tfrecord", "celeb_a-train.tfrecord-00000-of-00010", "manifest.json"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_others_made_is_never_touched(tmp_path, name, overwrite):
    (tmp_path / name).write_text("{}")
    with pytest.raises(click.UsageError, match="did not make"):
        staging.begin(tmp_path, recipe(0), {}, overwrite)
    assert [path.name for path in tmp_path.iterdir()] == [name]
