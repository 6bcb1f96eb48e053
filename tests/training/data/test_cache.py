"""The cache of shards from URLs: what is fetched, verified, shared and removed."""

import hashlib
import random
import subprocess
import sys
import time

import pytest
from click import UsageError

from system import objects
from system.objects import StorageError, Url
from training.data.cache import ShardCache

SIZE = 50_000
URL = Url("s3://bucket/data")


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def shards(bucket):
    """Six shards in a bucket: what `ShardCache.hold` takes, and their bytes."""
    contents = [random.Random(number).randbytes(SIZE) for number in range(6)]
    bucket.objects |= {f"bucket/data/{number}": content for number, content in enumerate(contents)}
    return [(URL / str(number), digest(content), SIZE) for number, content in enumerate(contents)]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def cache_of(folder, shards=10):
    cache = ShardCache(folder, shards * SIZE)
    cache.check([])
    return cache


def kept(folder):
    return {path.stem for path in folder.iterdir() if path.suffix == ".tfrecord"}


def test_a_shard_is_fetched_once_for_all_who_read_it(shards, folder, bucket):
    first, second = cache_of(folder), cache_of(folder)
    for shard in shards[:2]:
        for cache in (first, first, second):
            with cache.hold(*shard) as file:
                assert digest(file.read()) == shard[1]
    assert len(bucket.requests("GET")) == 2
    assert kept(folder) == {sha256 for _, sha256, _ in shards[:2]}


@pytest.mark.parametrize("kind", ["503", "cut", "stall"])
def test_a_fault_that_passes_is_not_noticed(shards, folder, bucket, monkeypatch, kind):
    monkeypatch.setattr(objects, "READ_TIMEOUT", "300ms")
    bucket.fails(kind, "GET")
    cache_of(folder).hold(*shards[0]).close()
    assert len(bucket.requests("GET")) == 2


@pytest.mark.parametrize("harm", ["a wrong bit", "replaced", "cut off", "expired"])
def test_a_shard_that_cannot_be_had_is_named_and_the_same_command_continues(shards, folder, bucket, harm):
    whole = bucket.objects["bucket/data/0"]
    if harm == "replaced":
        bucket.objects["bucket/data/0"] = bytes(SIZE)
    elif harm == "cut off":
        bucket.objects["bucket/data/0"] = whole[:-1]
    else:
        bucket.fails({"a wrong bit": "flip"}.get(harm, harm), "GET")
    said = {"expired": r"s3://bucket/data/0 refused the credentials \(ExpiredToken\). Renew them"}
    other = r"s3://bucket/data/0 is not what manifest.json says: .* python -m preprocess.verify s3://bucket/data$"
    with pytest.raises(StorageError, match=said.get(harm, other)):
        cache_of(folder).hold(*shards[0])
    assert [path.name for path in folder.iterdir()] == [".lock"]
    bucket.objects["bucket/data/0"] = whole
    cache_of(folder).hold(*shards[0]).close()


def test_a_copy_that_the_disk_has_damaged_is_fetched_again(shards, folder, bucket):
    cache_of(folder).hold(*shards[0]).close()
    path = folder / f"{shards[0][1]}.tfrecord"
    path.write_bytes(bytes(SIZE))
    with cache_of(folder).hold(*shards[0]) as file:
        assert digest(file.read()) == shards[0][1]
    assert len(bucket.requests("GET")) == 2


def test_the_least_recently_used_make_room_but_none_that_is_in_use(shards, folder):
    cache, other = cache_of(folder, 3), cache_of(folder, 3)
    used = other.hold(*shards[0])
    for number in (1, 2, 1, 3):
        cache.hold(*shards[number]).close()
        time.sleep(0.01)  # of a clock that may be coarse
    assert kept(folder) == {shards[number][1] for number in (0, 1, 3)}
    files = [cache.hold(*shards[number]) for number in (4, 5, 1)]
    # All that is in use is more than the limit.
    assert kept(folder) == {shards[number][1] for number in (0, 1, 4, 5)}
    used.close()
    for file in files:
        file.close()
    cache.hold(*shards[2]).close()
    assert len(kept(folder)) == 3


def test_what_a_killed_process_has_left_is_removed(shards, folder):
    cache = cache_of(folder)
    left = folder / f".partial-{'0' * 64}.tfrecord"
    left.write_bytes(b"half")
    cache.hold(*shards[0]).close()
    assert not left.exists()


def test_a_full_disk_is_an_error_that_names_the_place(shards, folder):
    program = """
import resource, signal, sys
from pathlib import Path
from training.data.cache import ShardCache
from system.objects import Url
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
cache = ShardCache(Path(sys.argv[1]), 10**9)
cache.check([])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    cache.hold(Url(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
except OSError as error:
    print(error.filename, error.strerror)
"""
    output = subprocess.check_output([sys.executable, "-c", program, folder, *map(str, shards[0])], text=True)
    assert output == f"{folder}/{shards[0][1]}.tfrecord File too large\n"
    assert [path.name for path in folder.iterdir()] == [".lock"]


def test_a_cache_that_is_too_small_or_cannot_be_written_is_refused(tmp_path):
    cache = ShardCache(tmp_path / "cache", 1_000_000_000)
    message = "--shard-cache-gb 1 is too little: 24 shards of up to 202 MB are in use at once; 4.9 at least."
    with pytest.raises(UsageError) as raised:
        cache.check([202_000_000] * 100)
    assert raised.value.message == message
    cache.check([202_000_000] * 4)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="file/cache cannot be written"):
        ShardCache(tmp_path / "file" / "cache", 10**9).check([])


WORKER = """
import hashlib, random, sys
from pathlib import Path
from system.objects import Url
from training.data.cache import ShardCache
folder, seed, size, *shards = sys.argv[1:]
cache, choose = ShardCache(Path(folder), 4 * int(size)), random.Random(int(seed))
print("begun", flush=True)
held = []
for _ in range(60):
    number = choose.randrange(len(shards))
    held.append((shards[number], cache.hold(Url(f"s3://bucket/data/{number}"), shards[number], int(size))))
    if len(held) > 2:
        held.pop(0)[1].close()
    for sha256, _ in held:
        assert hashlib.sha256((Path(folder) / f"{sha256}.tfrecord").read_bytes()).hexdigest() == sha256
"""


def test_processes_share_a_cache_that_is_too_small_for_both_while_others_are_killed(shards, folder):
    cache_of(folder)
    names = [sha256 for _, sha256, _ in shards]
    command = [sys.executable, "-c", WORKER, folder]
    workers = [
        subprocess.Popen([*command, str(seed), str(SIZE), *names], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for seed in range(4)
    ]
    for worker in workers[2:]:
        assert worker.stdout.readline() == b"begun\n"
        time.sleep(0.05)
        worker.kill()
    for worker in workers:
        assert worker.communicate(timeout=120)[1] == b""
    assert [worker.returncode for worker in workers[:2]] == [0, 0]
    cache_of(folder, 4)
    assert len(kept(folder)) == 4
    assert all(digest((folder / f"{sha256}.tfrecord").read_bytes()) == sha256 for sha256 in kept(folder))
    assert len(list(folder.iterdir())) == 5  # and .lock
