"""From unfinished to finished, cut short at every step."""

from pathlib import Path

import click
import pytest

from preprocess import manifest as manifests
from preprocess import staging
from preprocess.destination import up_to_date
from tests.disk import Disk, kill_at_every_step


def recipe(seed: int = 0, path: str = "/photos.zip") -> dict:
    return manifests.recipe({"seed": seed, "crop": {"box": (1, 2, 3, 4)}}, {"paths": [path], "fingerprint": "f" * 64})


def manifest(seed: int, shards: dict[str, bytes]) -> dict:
    listed = [{"name": name, "split": "train", "count": 1, "bytes": len(data)} for name, data in shards.items()]
    return recipe(seed) | {"shards": listed}


OLD = {"train-0.tfrecord": b"old 0", "train-1.tfrecord": b"old one", "train-2.tfrecord": b"old 2"}
NEW = {"train-0.tfrecord": b"new", "train-1.tfrecord": b"new 1"}
DOCUMENTS = ("rejected.jsonl", {"features.json": {"features": 1}, "dataset_info.json": {"info": 1}})


def stage(out: Path, seed: int, shards: dict[str, bytes]) -> None:
    staged = staging.begin(out, recipe(seed), {}, overwrite=True).path
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
    assert up_to_date(tmp_path, recipe(0))


def test_publishing_goes_on_after_a_kill_at_any_step(tmp_path):
    def publish_new(at):
        staging.publish(tmp_path / str(at))

    def prepared(at):
        out = tmp_path / str(at)
        stage(out, 0, OLD)
        staging.publish(out)
        (out / "mine.txt").write_text("of the user")
        stage(out, 1, NEW)
        assert shards_in(out) == OLD  # until the new ones are complete

    prepared(0)
    for at in kill_at_every_step(publish_new):
        out = tmp_path / str(at)
        now = staging.finished(out)
        if now is not None:  # whoever reads meanwhile never finds a manifest with other shards than it names
            held = shards_in(out)
            assert all(len(held[shard["name"]]) == shard["bytes"] for shard in now["shards"])
        staging.publish(out)
        assert shards_in(out) == NEW
        assert up_to_date(out, recipe(1))
        assert (out / "mine.txt").exists()
        prepared(at + 1)
    assert at > 10


def test_a_power_cut_finds_no_manifest_without_its_shards(tmp_path):
    """Each step of publishing waits until the disk has the one before."""
    stage(tmp_path, 0, OLD)
    staging.publish(tmp_path)
    stage(tmp_path, 1, NEW)
    staged, names = tmp_path / ".unfinished", [*NEW, "rejected.jsonl", "features.json", "dataset_info.json"]
    with Disk().watched() as disk:
        staging.publish(tmp_path)
    withdrawn, given = disk.renamed(staged / "replaced.json"), disk.renamed(tmp_path / "manifest.json")
    first_change = min(disk.removed(tmp_path / "train-2.tfrecord"), *(disk.renamed(tmp_path / name) for name in names))
    assert withdrawn < disk.synced(tmp_path, withdrawn) < first_change
    last_change = max(disk.removed(tmp_path / "train-2.tfrecord"), *(disk.renamed(tmp_path / name) for name in names))
    assert last_change < disk.synced(tmp_path, last_change) < given
    cleared = [at for at, step in enumerate(disk.steps) if step.kind == "remove" and staged in step.path.parents]
    assert given < disk.synced(tmp_path, given) < min(cleared)


def test_the_manifest_of_new_shards_is_written_when_all_else_is_safe(tmp_path):
    staged = staging.begin(tmp_path, recipe(0), {}, overwrite=False).path
    with Disk().watched() as disk:
        staging.complete(tmp_path, *DOCUMENTS, manifest(0, NEW))
    documents = ["rejected.jsonl", "features.json", "dataset_info.json", "manifest.json"]
    for name in documents:
        disk.assert_lasting(staged / name)
    order = [disk.renamed(staged / name) for name in documents]
    assert max(order[:-1]) < order[-1]


def test_repaired_shards_are_in_place_before_the_copies_are_removed(tmp_path):
    stage(tmp_path, 0, OLD)
    staging.publish(tmp_path)
    with Disk().watched() as disk, staging.repairing(tmp_path, {}) as aside:
        (aside.path / "train-0.tfrecord").write_bytes(b"old 0")
        staging.restore(tmp_path, aside, ["train-0.tfrecord"])
    restored = disk.renamed(tmp_path / "train-0.tfrecord")
    assert restored < disk.synced(tmp_path, restored) < disk.removed(aside.path)
    assert not (tmp_path / ".unfinished").exists()


def begun(staged: Path, count: int) -> None:
    """A shard that a run finished before it was cut short."""
    (staged / "train-0.tfrecord").write_bytes(b"made")
    (staged / "train-0.json").write_text(f'{{"count": {count}}}')


def test_where_no_photo_was_used_another_recipe_begins_anew(tmp_path):
    """As after --crop progan found no photo of its size: nothing is lost, and --crop center is what was advised."""
    begun(staging.begin(tmp_path, recipe(0), {}, overwrite=False).path, count=0)
    staged = staging.begin(tmp_path, recipe(1), {}, overwrite=False).path
    assert not (staged / "train-0.tfrecord").exists()


def test_shards_of_two_versions_are_not_mixed(tmp_path):
    old, new = {"pillow": "12.0", "libjpeg_turbo": "3.1"}, {"pillow": "13.0", "libjpeg_turbo": "3.1"}
    staged = staging.begin(tmp_path, recipe(0), old, overwrite=False).path
    begun(staged, count=1)
    with pytest.raises(click.UsageError, match=r'unfinished.*\n.*versions.pillow: "12.0" -> "13.0"'):
        staging.begin(tmp_path, recipe(0), new, overwrite=False)
    assert staging.begin(tmp_path, recipe(0), old, overwrite=False).path == staged
    assert (staged / "train-0.tfrecord").exists()
    staging.begin(tmp_path, recipe(0), new, overwrite=True)
    assert not (staged / "train-0.tfrecord").exists()
    for versions, is_kept in ((old, False), (old, True), (new, False)):
        with pytest.raises(InterruptedError), staging.repairing(tmp_path, versions) as aside:
            assert (aside.path / "train-0.tfrecord").exists() == is_kept
            begun(aside.path, count=1)
            raise InterruptedError


def test_what_was_begun_is_continued_under_the_same_recipe_alone(tmp_path):
    staged = staging.begin(tmp_path, recipe(0), {}, overwrite=False).path
    begun(staged, count=1)
    assert staging.begin(tmp_path, recipe(0, path="/moved.zip"), {}, overwrite=False).path == staged
    assert (staged / "train-0.tfrecord").exists()
    with pytest.raises(click.UsageError, match=r"unfinished.*\n.*settings.seed: 0 -> 1"):
        staging.begin(tmp_path, recipe(1), {}, overwrite=False)
    assert (staged / "train-0.tfrecord").exists()
    staging.begin(tmp_path, recipe(1), {}, overwrite=True)
    assert not (staged / "train-0.tfrecord").exists()


def test_what_a_killed_run_was_writing_is_removed(tmp_path):
    staged = staging.begin(tmp_path, recipe(0), {}, overwrite=False).path
    for name in ("train-0.tfrecord", ".partial-5a-train-1.tfrecord", ".partial-77-settings.json"):
        (staged / name).write_bytes(b"made")
    staging.begin(tmp_path, recipe(0), {}, overwrite=False)
    assert {path.name for path in staged.iterdir()} == {"train-0.tfrecord", "settings.json"}


def test_what_parts_are_writing_stays_whoever_comes(tmp_path):
    staged = staging.begin(tmp_path, recipe(0), {}, overwrite=False, in_parts=True).path
    (staged / ".partial-5a-train-1.tfrecord").write_bytes(b"ma")
    for in_parts in (True, False):
        staging.begin(tmp_path, recipe(0), {}, overwrite=True, in_parts=in_parts)
        for overwrite in (True, False):
            with pytest.raises(
                click.UsageError, match=r"with --part.*\n  settings.seed: 0 -> 1\n.*remove .*unfinished"
            ):
                staging.begin(tmp_path, recipe(1), {}, overwrite=overwrite, in_parts=in_parts)
    assert (staged / ".partial-5a-train-1.tfrecord").exists()


def test_finished_shards_that_are_damaged_are_not_up_to_date(tmp_path):
    stage(tmp_path, 0, OLD)
    staging.publish(tmp_path)
    (tmp_path / "train-1.tfrecord").write_bytes(b"cut")
    assert not up_to_date(tmp_path, recipe(0))
    with pytest.raises(click.UsageError, match="missing or cut short"):
        staging.begin(tmp_path, recipe(0), {}, overwrite=False)
