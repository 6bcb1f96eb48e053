"""Shards in a bucket are those of a folder, whatever fails, is killed, or runs at the same time."""

import json
import shutil
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click
import pytest

from preprocess import manifest as manifests
from preprocess.bucket import finished
from preprocess.crop import parse
from preprocess.plan import Part
from preprocess.run import produce
from preprocess.sources import open_source
from preprocess.verify import check_shard, main, verify
from preprocess.work import Settings
from system.objects import StorageError, Url, url_of
from tests.bucket_server import Bucket
from tests.command import Command
from tests.preprocess import archives

SETTINGS = Settings(None, None, parse("wae"), 4, None, 0, "name", "faces")
OTHER = Settings(None, None, parse("wae"), 4, None, 1, "name", "faces")
OUT = Url("s3://bucket/data")


class Here:
    """Workers that are this process; `between` is called when the first shard is written."""

    def __init__(self, between: Callable[[], object] = lambda: None):
        self._between = between

    def completed(self, work, tasks):
        """See work.Pool."""
        for task in tasks:
            yield task, work(task)
            self._between()
            self._between = lambda: None


def make(source: object, out: Path | Url, settings=SETTINGS, between=lambda: None, part=None):
    """What the command does, in this process alone; return the manifest."""
    place = url_of(str(source)) or Path(str(source))
    return produce(open_source([place]), settings, out, lambda: Here(between), 0.01, False, part)


@pytest.fixture(scope="module")
def few(photos, tmp_path_factory) -> Path:
    """A folder of ten photos: three shards."""
    folder = tmp_path_factory.mktemp("few") / "photos"
    folder.mkdir()
    for path in sorted(photos.folder.iterdir())[:10]:
        shutil.copy2(path, folder)
    return folder


@pytest.fixture(scope="module")
def local(few, tmp_path_factory, contents) -> dict[str, bytes]:
    """The files of a folder of their shards."""
    out = tmp_path_factory.mktemp("local") / "data"
    make(few, out)
    return {name: data for name, data in contents(out).items() if name != ".lock"}


@pytest.fixture
def stored(bucket, few) -> Bucket:
    """The photos as objects, in a zip and in a tar behind another one."""
    bucket.objects |= {f"bucket/photos/cat/{path.name}": path.read_bytes() for path in few.iterdir()}
    bucket.objects["bucket/photos/notes.txt"] = b"no photo"
    zipped, tarred = few.parent / "zipped.zip", few.parent / "tarred.tar"
    shutil.make_archive(str(zipped.with_suffix("")), "zip", few)
    with tarfile.open(tarred, "w") as tar:
        tar.add(few)
    joined = archives.tarred({"notes.txt": b"no photo"}) + tarred.read_bytes()  # as by cat
    bucket.objects |= {"bucket/x/photos.zip": zipped.read_bytes(), "bucket/x/photos.tar": joined}
    return bucket


def without_source(files: dict[str, bytes]) -> dict[str, bytes]:
    """Files in whose manifest it is not said what the shards were made of."""
    manifest = json.loads(files["manifest.json"])
    del manifest["source"]
    return files | {"manifest.json": json.dumps(manifest).encode()}


def test_a_bucket_gets_the_files_that_a_folder_gets(few, local, bucket):
    make(few, OUT)
    assert bucket.files("bucket/data") == local
    requests = len(bucket.log)
    assert make(few, OUT) == json.loads(local["manifest.json"])
    assert not [request for request in bucket.log[requests:] if request.method in ("PUT", "DELETE")]


@pytest.mark.parametrize(
    "source", ["s3://bucket/photos", "s3://bucket/x/photos.zip", "s3://bucket/x/photos.tar", "http"]
)
def test_photos_in_a_bucket_make_the_same_shards(source, stored, local, tmp_path, contents):
    if source == "http":
        source = f"http://127.0.0.1:{stored.port}/bucket/x/photos.zip"
    make(source, tmp_path / "data")
    files = {name: data for name, data in contents(tmp_path / "data").items() if name != ".lock"}
    assert without_source(files) == without_source(local)
    make(source, OUT)
    assert stored.files("bucket/data") == files


@pytest.mark.parametrize("source", ["s3://bucket/photos", "s3://bucket/x/photos.zip"])
def test_photos_are_asked_for_before_they_are_needed(source, stored, tmp_path):
    stored.latency = 0.1
    make(source, tmp_path / "data")
    assert stored.most_waiting == SETTINGS.shard_images


def test_photos_of_several_sources_are_those_of_each(stored, few):
    urls = map(Url, ("s3://bucket/x/photos.zip", "s3://bucket/photos", "s3://bucket/x/photos.tar"))
    source = open_source([*urls, few])
    located = source.list("path").photos
    assert len(located) == 10 + 10 + 10 + 10 - 10  # the zip's and the folder's are called alike
    with source.opened(list(located.values())) as read:
        for path, location in located.items():
            assert read(location) == (few / Path(path).name).read_bytes()


def test_of_a_zip_little_more_is_read_than_its_photos(stored, tmp_path):
    make("s3://bucket/x/photos.zip", tmp_path / "data")
    ranges = [request.range for request in stored.requests("GET", "zip")]
    sizes = [int(last) - int(first) + 1 for first, last in (text.removeprefix("bytes=").split("-") for text in ranges)]
    assert sum(sizes) < 1.15 * len(stored.objects["bucket/x/photos.zip"])


FAULTS = [
    ("500", "GET", "jpg"),
    ("reset", "GET", "jpg"),
    ("cut", "GET", "jpg"),
    ("503", "LIST", "photos"),
    ("reset", "LIST", "data"),
    ("lost", "PUT", "settings.json"),
    ("503", "PUT", "train-00000.*tfrecord"),
    ("lost", "PUT", "train-00001.*tfrecord"),
    ("reset", "PUT", "train-00001.*json"),
    ("lost", "PUT", "manifest.json"),
    ("stall", "GET", "jpg"),
    ("500", "DELETE", ""),
]


def test_faults_that_pass_change_nothing(stored, local, monkeypatch):
    monkeypatch.setattr("system.objects.READ_TIMEOUT", "300ms")
    for kind, method, key in FAULTS:
        stored.fails(kind, method, key)
    make("s3://bucket/photos", OUT)
    assert without_source(stored.files("bucket/data")) == without_source(local)
    assert not any(fault.times for fault in stored.faults)


def test_a_bit_of_a_zip_that_is_wrong_on_its_way_rejects_no_photo(stored, local):
    stored.fails("flip", "GET", "zip", after=8)
    make("s3://bucket/x/photos.zip", OUT)
    assert without_source(stored.files("bucket/data")) == without_source(local)
    assert not stored.faults[0].times


def test_a_description_that_is_removed_when_it_is_read_costs_work_and_no_bytes(few, local, bucket):
    """As by a run with the same settings that finishes at that moment."""
    with pytest.raises(StorageError):
        make(few, OUT, between=lambda: bucket.fails("denied", "PUT", "train-00001"))
    bucket.fails("gone", "GET", "unfinished/train-00000")
    make(few, OUT)
    assert bucket.files("bucket/data") == local
    assert len(bucket.requests("PUT", "train-00000.*tfrecord")) == 2


def test_a_listing_that_is_late_costs_work_and_no_bytes(few, local, bucket):
    with pytest.raises(StorageError):
        make(few, OUT, between=lambda: bucket.fails("denied", "PUT", "train-00001"))
    bucket.fails("stale", "LIST", times=9)
    bucket.stale = []
    make(few, OUT)
    bucket.faults.clear()
    assert {name for name in bucket.files("bucket/data") if not name.startswith(".unfinished")} == local.keys()
    make(few, OUT)
    assert bucket.files("bucket/data").items() >= local.items()


@pytest.mark.parametrize("is_served", [False, True])
def test_killed_at_any_request_the_same_command_ends_as_if_nothing_had_happened(few, local, bucket, is_served):
    for at in range(100):
        bucket.objects.clear()
        bucket.log.clear()
        if is_served:
            bucket.fails("lost", after=at)  # what is asked for happens, and nothing after it
        bucket.fails("denied", after=at, times=1000)
        with suppress(StorageError):
            make(few, OUT)
        if len(bucket.log) <= at:
            break
        files = bucket.files("bucket/data")
        assert "manifest.json" not in files or files.items() >= local.items()
        bucket.faults.clear()
        make(few, OUT)
        assert bucket.files("bucket/data") == local
    assert 20 < at < 99


@pytest.mark.parametrize("has_preconditions", [True, False])
def test_two_runs_with_the_same_settings_do_no_harm(few, local, bucket, has_preconditions):
    bucket.has_preconditions = has_preconditions
    moved = shutil.copytree(few, few.parent / f"moved{has_preconditions}")
    make(few, OUT, between=lambda: make(moved, OUT))
    files = bucket.files("bucket/data")
    paths = json.loads(files["manifest.json"])["source"]["paths"]
    assert without_source(files) == without_source(local)
    assert paths == [str(moved)]  # of the one that was first


def test_parts_are_made_at_the_same_time(few, local, bucket):
    make(few, OUT, part=Part(1, 2), between=lambda: make(few, OUT, part=Part(2, 2)))
    assert bucket.files("bucket/data") == local


@pytest.mark.parametrize("has_preconditions", [True, False])
def test_a_run_with_other_settings_is_refused_while_another_is_unfinished_or_finished(
    few, local, bucket, has_preconditions
):
    bucket.has_preconditions = has_preconditions

    def refused():
        with pytest.raises(click.UsageError, match=r"(?s)unfinished shards of other settings.*settings.seed: 0 -> 1"):
            make(few, OUT, OTHER)

    make(few, OUT, between=refused)
    assert bucket.files("bucket/data") == local
    with pytest.raises(click.UsageError, match=r"(?s)holds shards of other settings.*settings.seed: 0 -> 1"):
        make(few, OUT, OTHER)
    assert bucket.files("bucket/data") == local


def test_where_no_shard_was_written_other_settings_begin_anew(few, local, bucket):
    bucket.fails("denied", "PUT", "train-0")
    with pytest.raises(StorageError):
        make(few, OUT, OTHER)
    make(few, OUT)
    assert bucket.files("bucket/data") == local


@pytest.mark.parametrize("replaced", [".unfinished/settings.json", "train-00000-of-00003.tfrecord"])
def test_what_another_run_writes_nevertheless_is_noticed_before_there_is_a_manifest(few, local, bucket, replaced):
    """As on a server that knows no preconditions, where two runs began in the same moment."""
    key = f"bucket/data/{replaced}"

    def replace():
        bucket.objects[key] = bucket.objects[key].replace(b'"seed": 0', b'"seed": 1').replace(b".jpg", b".JPG")

    with pytest.raises(click.ClickException, match=r"Another run .* no manifest was written"):
        make(few, OUT, between=replace)
    assert "manifest.json" not in bucket.files("bucket/data")
    if "settings" in replaced:
        assert len(bucket.requests("PUT", "tfrecord")) == 1
    else:
        make(few, OUT)
        assert bucket.files("bucket/data") == local


@pytest.mark.parametrize("is_gone", [False, True])
@pytest.mark.parametrize("source", ["s3://bucket/photos", "s3://bucket/x/photos.zip"])
def test_what_is_replaced_or_gone_while_it_is_read_ends_the_run(source, is_gone, stored):
    def change():
        for name in [name for name in stored.objects if f"s3://{name}".startswith(source)]:
            data = stored.objects.pop(name)
            if not is_gone:
                stored.objects[name] = data + b"another"

    with pytest.raises(click.ClickException, match=rf"{source}.* (was replaced or removed|changed)"):
        make(source, OUT, between=change)
    assert "manifest.json" not in stored.files("bucket/data")


def test_refused_credentials_end_the_run_and_reject_no_photo(stored, local):
    stored.fails("expired", "GET", "jpg", after=6, times=99)
    with pytest.raises(click.ClickException, match=r"refused the credentials .ExpiredToken.. Renew them"):
        make("s3://bucket/photos", OUT)
    assert "manifest.json" not in stored.files("bucket/data")
    stored.faults.clear()
    make("s3://bucket/photos", OUT)
    assert without_source(stored.files("bucket/data")) == without_source(local)


def test_what_is_not_ours_stays(few, bucket):
    bucket.objects["bucket/data/train.tfrecord-00000-of-00001"] = b"another's"
    with pytest.raises(click.UsageError, match="holds data that this program did not make"):
        make(few, OUT)
    assert list(bucket.objects) == ["bucket/data/train.tfrecord-00000-of-00001"]


def test_a_whole_bucket_is_a_source_and_a_destination(few, local, bucket):
    bucket.objects |= {f"photos/{path.name}": path.read_bytes() for path in few.iterdir()}
    make("s3://photos", Url("s3://shards"))
    assert without_source(bucket.files("shards")) == without_source(local)


def test_what_can_only_be_read_is_verified(few, local, bucket):
    make(few, OUT)
    url = Url(f"http://127.0.0.1:{bucket.port}/bucket/data")
    assert verify(url, finished(url), 1) == {}
    bucket.objects["bucket/data/train-00001-of-00003.tfrecord"] = b""
    assert list(verify(url, finished(url), 1)) == ["train-00001-of-00003.tfrecord"]
    assert "can only be read" in Command(main).is_refused(url, "--repair")


def test_a_network_that_fails_is_no_damage(few, bucket):
    shard, *_ = manifests.shards(make(few, OUT))
    bucket.fails("denied", "GET")
    with pytest.raises(StorageError, match="cannot be read"):
        check_shard(OUT, shard)
    assert check_shard(OUT, shard) == ""
    bucket.fails("flip", "GET", times=9)
    assert "SHA-256" in check_shard(OUT, shard)


def test_a_command_on_buckets_with_workers_lists_and_repair(
    photos, shards, preprocess, verify, contents, bucket, monkeypatch
):
    """Real processes: some of them are forked before the network is used, others would hang if they were."""
    bucket.objects |= {
        "bucket/celeba/photos.zip": photos.zip.read_bytes(),
        "bucket/celeba/list_attr_celeba.txt": photos.attributes.read_bytes(),
        "bucket/list_eval_partition.txt": photos.partitions.read_bytes(),
    }
    status, output = preprocess(
        *("--source", "s3://bucket/celeba/photos.zip", "--out", "s3://bucket/data/"),
        *("--attributes", "auto", "--partitions", "auto", "--shard-images", 7, "--workers", 2),
    )
    assert status == 0, output
    assert "Using s3://bucket/celeba/list_attr_celeba.txt." in output
    assert "--shards s3://bucket/data" in output
    expected = {name: data for name, data in contents(shards).items() if name.endswith((".tfrecord", "features.json"))}
    assert bucket.files("bucket/data").items() >= expected.items()
    first, second = sorted(expected)[1:3]
    bucket.objects[f"bucket/data/{first}"] = b"cut"
    del bucket.objects[f"bucket/data/{second}"]
    del bucket.objects["bucket/data/features.json"]
    status, lines = verify("s3://bucket/data", "--repair", "--workers", 2)
    assert status == 0, lines
    assert lines[0].startswith(f"{first}: has 3 bytes; the manifest says")
    assert bucket.files("bucket/data").items() >= expected.items()
