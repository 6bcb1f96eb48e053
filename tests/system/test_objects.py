"""Objects by their URLs, on a server that fails as servers do."""

import signal
import sys
import threading

import click
import pytest

from system import objects
from system.objects import MissingObject, Object, ReplacedObject, StorageError, Url, url_of
from system.threads import AT_ONCE, read_ahead
from tests.bucket_server import etag_of
from tests.preprocess.waiting import wait_until


@pytest.fixture
def prefix(bucket) -> Url:
    return Url("s3://bucket/photos")


def refused(act) -> str:
    """Return the one line that a user gets."""
    with pytest.raises(StorageError) as caught:
        act()
    assert caught.value.exit_code == 1
    assert "\n" not in caught.value.message
    return caught.value.message


def test_what_is_a_url_and_which_are_supported():
    for path in ("photos", "/data/x.zip", "C:/photos", "2026-01-01T12:00/photos", "a:b"):
        assert url_of(path) is None
    for text in ("s3://b", "S3A://b/x/", "gs://b/x y/z.zip", "abfss://c@account.dfs.core.windows.net/x", "az://c/x"):
        assert url_of(text).can_write
    for text in ("https://host/a.zip", "http://127.0.0.1:80/a", "hf://datasets/a/b", "hf://datasets/a/b@1.0/c/d.zip"):
        assert not url_of(text).can_write
    for text in (
        "hdfs://x/y",
        "file:///x",
        "s3:/b/x",
        "s3://",
        "s3://b//x",
        "s3://b/../x",
        "hf://a/b",
        "https://h/a?b",
        "https://u:p@h/a",
    ):
        with pytest.raises(ValueError, match=text.replace("?", "[?]")):
            url_of(text)


def test_a_url_has_parts_as_a_path_has():
    url = url_of("s3://bucket/a/b.c/photos.zip/")
    assert (str(url), url.name) == ("s3://bucket/a/b.c/photos.zip", "photos.zip")
    assert [str(parent) for parent in url.parents] == ["s3://bucket/a/b.c", "s3://bucket/a", "s3://bucket"]
    assert str(url.parents[0] / "x") == "s3://bucket/a/b.c/x"


def test_objects_are_written_listed_read_and_removed(prefix, bucket):
    data = {"a.jpg": b"first", "sub/b c+ü&<1>.jpg": b"second", "empty": b""}
    etags = {name: (prefix / name).write(content) for name, content in data.items()}
    bucket.objects |= {"bucket/photos/": b"", "bucket/photos2/x": b"another prefix"}
    assert set(prefix.list()) == {Object(name, len(content), etags[name]) for name, content in data.items()}
    for name, content in data.items():
        assert (prefix / name).read(etags[name]) == b"".join((prefix / name).blocks()) == content
        assert (prefix / name).look() == Object(name.rpartition("/")[2], len(content), etag_of(content))
    assert (prefix / "a.jpg").read(etags["a.jpg"], 1, 3) == b"ir"
    assert (prefix / "a.jpg").read(start=3, end=99) == b"st"
    assert [request.range for request in bucket.requests("GET", "a.jpg")[-2:]] == ["bytes=1-2", "bytes=3-98"]
    prefix.remove(["a.jpg", "empty", "gone"])
    prefix.remove([])
    assert [found.name for found in prefix.list()] == ["sub/b c+ü&<1>.jpg"]


def test_what_is_gone_is_no_error_where_objects_are_removed_one_by_one(bucket, monkeypatch):
    """As Azure and Google do it; so does S3's client where a server knows no other way."""
    monkeypatch.setenv("AWS_DISABLE_BULK_DELETE", "true")
    names = [f"{number}" for number in range(30)]
    bucket.objects |= {f"bucket/photos/{name}": b"" for name in names[::3]}
    Url("s3://bucket/photos").remove(names)
    assert bucket.objects == {}


def test_a_listing_of_many_pages_is_whole(prefix, bucket):
    bucket.objects |= {f"bucket/photos/{number:04}": b"" for number in range(2500)}
    assert [found.name for found in prefix.list()] == [f"{number:04}" for number in range(2500)]
    assert len(bucket.requests("LIST")) == 3


def test_web_servers_and_the_hub_are_read(prefix, bucket, monkeypatch):
    bucket.objects |= {
        "bucket/x y.zip": b"zip",
        "datasets/a/b/resolve/main/d/x": b"main",
        "datasets/a/b/resolve/v1/x": b"v1",
    }
    assert Url(f"http://127.0.0.1:{bucket.port}/bucket/x%20y.zip").read() == b"zip"
    assert Url("hf://datasets/a/b/d/x").read() == b"main"
    assert Url("hf://datasets/a/b@v1/x").read(start=1, end=2) == b"1"


@pytest.mark.parametrize("kind", ["500", "503", "reset", "cut", "slow", "stall"])
def test_a_fault_that_passes_is_not_noticed(prefix, bucket, monkeypatch, kind):
    monkeypatch.setattr(objects, "READ_TIMEOUT", "300ms")
    data = bytes(range(256)) * 40
    (prefix / "x").write(data)
    bucket.fails(kind, "GET", seconds=0.2 if kind == "slow" else 0)
    assert (prefix / "x").read(etag_of(data)) == data
    bucket.fails("503", "LIST")
    assert [found.name for found in prefix.list()] == ["x"]


@pytest.mark.parametrize(("kind", "said"), [("expired", "refused the credentials (ExpiredToken). Renew them"),
                                            ("denied", "the credentials do not allow it")])  # fmt: skip
def test_what_the_server_refuses_is_said_in_one_sentence(prefix, bucket, kind, said):
    acts = {
        "GET": (prefix / "x").read,
        "HEAD": (prefix / "x").is_file,
        "PUT": lambda: (prefix / "x").write(b""),
        "LIST": lambda: list(prefix.list()),
        "DELETE": lambda: prefix.remove(["x"]),
    }
    bucket.objects["bucket/photos/x"] = b"x"
    for method, act in acts.items():
        bucket.fails(kind, method)
        assert said in refused(act) or method == "HEAD"  # the answer to HEAD has no body that could say why
        act()


def test_a_download_that_gets_nothing_can_be_stopped(prefix, bucket):
    bucket.objects["bucket/photos/x"] = bytes(100)
    bucket.fails("stall", "GET")
    stopped = iter([False, False, True])
    assert "was not read to its end" in refused(lambda: list((prefix / "x").blocks(is_stopped=lambda: next(stopped))))
    assert len(bucket.requests("GET")) == 1


def test_an_object_that_is_gone_or_replaced_is_told_from_others(prefix):
    etag = (prefix / "x").write(b"old")
    (prefix / "x").write(b"new")
    for read in ((prefix / "x").read, lambda etag: list((prefix / "x").blocks(etag))):
        with pytest.raises(ReplacedObject, match="s3://bucket/photos/x was replaced"):
            read(etag)
    with pytest.raises(MissingObject, match="s3://bucket/photos/y does not exist"):
        (prefix / "y").look()
    assert not (prefix / "y").is_file()


def test_only_the_first_of_two_creates_an_object(prefix, bucket):
    assert (prefix / "x").create(b"first") == b"first"
    assert (prefix / "x").create(b"second") == b"first"
    bucket.fails("lost", "PUT")
    assert (prefix / "y").create(b"mine") == b"mine"
    bucket.fails("denied", "PUT")
    assert "s3://bucket/photos/z cannot be written" in refused(lambda: (prefix / "z").create(b"mine"))
    assert bucket.files("bucket/photos") == {"x": b"first", "y": b"mine"}


def test_a_key_that_no_path_has_is_named(prefix, bucket):
    bucket.objects["bucket/photos/a//b"] = b""
    assert 'Path "photos/a//b" contained empty path segment' in refused(lambda: list(prefix.list()))


def test_without_credentials_no_address_is_asked_but_that_of_the_machines_metadata(prefix, bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    bucket.fails("denied", key="latest/api/token", times=9)
    assert "s3://bucket/photos/x needs credentials" in refused((prefix / "x").read)
    assert {request.key for request in bucket.log} == {"latest/api/token"}


def test_ctrl_c_does_not_wait_for_the_network(prefix, bucket):
    class Stopped(Exception):
        pass

    def stop(*_):
        raise Stopped

    acts = [(prefix / "x").read, (prefix / "x").look, lambda: (prefix / "x").write(b""), lambda: list(prefix.list())]
    bucket.latency = 5
    before = signal.signal(signal.SIGALRM, stop)
    try:
        for number, act in enumerate(acts, 1):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(Stopped):
                act()
            wait_until(lambda number=number: len(bucket.log) == number)
            assert bucket.waiting == number  # none of them has an answer
    finally:
        signal.signal(signal.SIGALRM, before)


def test_without_obstore_one_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    objects._store.cache_clear()
    with pytest.raises(click.UsageError, match=r"s3://bucket needs obstore, .* pip install -r requirements-bucket.txt"):
        Url("s3://bucket/x").read()


def test_what_is_read_ahead_comes_in_order_and_only_so_much_of_it():
    begun, lock, gate = [], threading.Lock(), threading.Event()

    def read(number: int) -> int:
        with lock:
            begun.append(number)
        gate.wait(10)
        if number == 60:
            raise StorageError("60 cannot be read")
        return number * number

    with pytest.raises(StorageError, match="60 cannot"), read_ahead(read, iter(range(100))) as get:
        gate.set()
        assert get(1000) == 1000 * 1000  # another one is read at once
        for number in range(61):
            assert len(begun) <= number + 1 + AT_ONCE
            assert get(number) == number * number
    assert len(begun) <= 62 + AT_ONCE
