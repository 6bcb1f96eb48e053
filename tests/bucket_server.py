"""A bucket on loopback: the part of S3's dialect that obstore speaks, with faults by rule and a log of requests.

It is a web server, too: GET and HEAD of http://127.0.0.1:PORT/BUCKET/KEY need no signature.
"""

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import md5
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

import pytest

from system import objects

PAGE = 1000  # objects in an answer to a listing, as with S3
MODIFIED = "Sat, 28 Nov 2026 00:00:00 GMT"
_STATUS = {
    **{200: "OK", 206: "Partial Content", 204: "No Content", 400: "Bad Request", 403: "Forbidden", 404: "Not Found"},
    **{304: "Not Modified", 412: "Precondition Failed", 416: "Range Not Satisfiable"},
    **{500: "Internal Server Error", 503: "Service Unavailable"},
}
_ERRORS = {
    "500": (500, "InternalError"),
    "503": (503, "SlowDown"),
    "expired": (400, "ExpiredToken"),
    "denied": (403, "AccessDenied"),
    "gone": (404, "NoSuchKey"),
}


class Request(NamedTuple):
    """What a client asked for: the key is that of an object, or the prefix of a listing ("LIST")."""

    method: str
    key: str
    range: str
    status: int


@dataclass
class Fault:
    """What happens to requests of this method ("" is any) for keys that a pattern finds.

    Instead of an answer: 500, 503, expired, denied, gone; reset, before anything happens; lost, after it has. With the
    answer: cut and stall, in the middle of the body; slow, `seconds` late; flip, a bit of the body; stale, a listing of
    what there was when the fault was made.
    """

    kind: str
    method: str = ""
    key: str = ""
    after: int = 0  # how many such requests are served before
    times: int = 1
    seconds: float = 0

    def strikes(self, method: str, key: str) -> bool:
        """Return whether it happens to this request."""
        if self.method not in ("", method) or not re.search(self.key, key):
            return False
        if self.after or not self.times:
            self.after = max(0, self.after - 1)
            return False
        self.times -= 1
        return True


class Answer(NamedTuple):
    """What is sent: the body of a HEAD is described, not sent."""

    status: int
    body: bytes = b""
    headers: tuple[str, ...] = ()


@dataclass
class Bucket:
    """All objects by BUCKET/KEY, the requests so far, and what is to go wrong."""

    port: int = 0
    latency: float = 0  # seconds before each answer
    has_preconditions: bool = True
    objects: dict[str, bytes] = field(default_factory=dict)
    log: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)  # the keys that a stale listing knows
    waiting: int = 0  # requests without an answer so far
    most_waiting: int = 0

    def fails(self, kind: str, method: str = "", key: str = "", **options: float) -> None:
        """Let a fault happen, from now on."""
        self.stale = list(self.objects)
        self.faults.append(Fault(kind, method, key, **options))  # type: ignore[arg-type]

    def files(self, prefix: str) -> dict[str, bytes]:
        """Return the objects below BUCKET/PREFIX/, as a folder's files by relative path."""
        begin = f"{prefix}/"
        return {key.removeprefix(begin): data for key, data in self.objects.items() if key.startswith(begin)}

    def requests(self, method: str, key: str = "") -> list[Request]:
        """Return the requests of this method for keys that a pattern finds."""
        return [request for request in self.log if request.method == method and re.search(key, request.key)]

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[Answer, Fault | None]:
        """Serve a request, and return the answer with the fault that happens to it."""
        url = urlsplit(target)
        key, query = unquote(url.path).lstrip("/").rstrip("/"), parse_qs(url.query, keep_blank_values=True)
        if "list-type" in query:
            method, key = "LIST", f"{key}/{query.get('prefix', [''])[0]}"
        elif "delete" in query:
            method = "DELETE"
        fault = next((fault for fault in self.faults if fault.strikes(method, key)), None)
        kind = fault.kind if fault else ""
        if kind in _ERRORS:
            answer = _error(*_ERRORS[kind])
        elif kind == "reset":
            answer = Answer(0)
        else:
            answer = self._served(method, key, query, headers, body, self.stale if kind == "stale" else None)
        self.log.append(Request(method, key, headers.get("range", ""), answer.status))
        return answer, fault

    def _served(self, method, key, query, headers, body, stale) -> Answer:
        if method == "LIST":
            return _listed(self.objects, key, query, sorted(self.objects if stale is None else stale))
        there = self.objects.get(key)
        if method == "DELETE" and "delete" not in query:
            gone = self.objects.pop(key, None) is None
            return _error(404, "NoSuchKey") if gone else Answer(204)  # S3 has 204 for both, Azure and Google have not
        if method == "DELETE":
            names = re.findall("<Key>(.*?)</Key>", body.decode())
            for name in names:
                self.objects.pop(f"{key}/{unescape(name)}", None)
            deleted = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
            return Answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())
        if self.has_preconditions and not _is_met(headers, there):
            return _error(412, "PreconditionFailed")
        if method == "PUT":
            self.objects[key] = body
            return Answer(200, b"", (f"ETag: {etag_of(body)}",))
        return _error(404, "NoSuchKey") if there is None else _read(there, headers.get("range", ""))


@lru_cache(10_000)
def etag_of(data: bytes) -> str:
    """Return the ETag of an object, as S3 makes it."""
    return f'"{md5(data, usedforsecurity=False).hexdigest()}"'


def _is_met(headers: dict[str, str], there: bytes | None) -> bool:
    if headers.get("if-none-match") == "*" and there is not None:
        return False
    return headers.get("if-match") in (None, there if there is None else etag_of(there))


def _read(data: bytes, asked: str) -> Answer:
    headers = (f"ETag: {etag_of(data)}", f"Last-Modified: {MODIFIED}", "Accept-Ranges: bytes")
    if not asked:
        return Answer(200, data, headers)
    first, last = asked.removeprefix("bytes=").split("-")
    start = int(first) if first else max(0, len(data) - int(last))
    end = min(int(last) + 1 if first and last else len(data), len(data))
    if start >= len(data):
        return _error(416, "InvalidRange")
    return Answer(206, data[start:end], (*headers, f"Content-Range: bytes {start}-{end - 1}/{len(data)}"))


def _listed(objects: dict[str, bytes], start: str, query: dict[str, list[str]], keys: list[str]) -> Answer:
    bucket = start.partition("/")[0]
    after = max(query.get("continuation-token", [""])[0], query.get("start-after", [""])[0])
    found = [key.partition("/")[2] for key in keys if key.startswith(start) and key in objects]
    found = [key for key in found if key > after]
    page, is_cut = found[:PAGE], len(found) > PAGE
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-28T00:00:00.000Z</LastModified>"
        f"<ETag>{escape(etag_of(objects[f'{bucket}/{key}']))}</ETag><Size>{len(objects[f'{bucket}/{key}'])}</Size>"
        "</Contents>"
        for key in page
    )
    more = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if is_cut else ""
    truncated = f"<IsTruncated>{str(is_cut).lower()}</IsTruncated>{more}"
    return Answer(200, f"<ListBucketResult>{truncated}{contents}</ListBucketResult>".encode())


def _error(status: int, code: str) -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())


class _Connection(asyncio.Protocol):
    def __init__(self, bucket: Bucket):
        self._bucket, self._received = bucket, bytearray()

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        request, *lines = self._received[:end].decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        whole = end + 4 + int(headers.get("content-length", 0))
        if len(self._received) < whole:
            return
        body = bytes(self._received[end + 4 : whole])
        del self._received[:whole]
        method, target, _ = request.split(" ")
        self._bucket.waiting += 1
        self._bucket.most_waiting = max(self._bucket.most_waiting, self._bucket.waiting)
        answer, fault = self._bucket.answer(method, target, headers, body)
        wait = self._bucket.latency + (fault.seconds if fault else 0)
        asyncio.get_running_loop().call_later(wait, self._send, method, answer, fault.kind if fault else "")

    def _send(self, method: str, answer: Answer, fault: str) -> None:
        self._bucket.waiting -= 1
        if fault in ("reset", "lost"):
            self._transport.abort()
            return
        body = b"" if method == "HEAD" else answer.body
        if fault == "flip":
            body = bytes([body[0] ^ 1]) + body[1:]
        lines = (
            f"HTTP/1.1 {answer.status} {_STATUS[answer.status]}",
            *answer.headers,
            f"Content-Length: {len(answer.body)}",
        )
        self._transport.write("\r\n".join((*lines, "\r\n")).encode())
        self._transport.write(body[: len(body) // 2] if fault in ("cut", "stall") else body)
        if fault == "cut":
            self._transport.close()


@contextmanager
def serving(kind: type[Bucket] = Bucket) -> Iterator[Bucket]:
    """Serve a bucket from a thread of this process."""
    bucket, ready, loop = kind(), threading.Event(), asyncio.new_event_loop()

    def run() -> None:
        server = loop.run_until_complete(loop.create_server(lambda: _Connection(bucket), "127.0.0.1", 0))
        bucket.port = server.sockets[0].getsockname()[1]
        ready.set()
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield bucket
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def environment(bucket: Bucket) -> dict[str, str]:
    """Return the variables by which obstore talks to this server, and to no other address."""
    here = f"http://127.0.0.1:{bucket.port}"
    return {
        "AWS_ENDPOINT_URL": here,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "dummy",
        "AWS_SECRET_ACCESS_KEY": "dummy",
        "AWS_REGION": "us-east-1",
        "AWS_METADATA_ENDPOINT": here,
        "HF_ENDPOINT": here,
    }


@pytest.fixture
def bucket(monkeypatch) -> Iterator[Bucket]:
    """A server, to which every s3:// URL leads."""
    pytest.importorskip("obstore")
    with serving() as served:
        for name, value in environment(served).items():
            monkeypatch.setenv(name, value)
        # After that: a data set of an earlier test may still read, and would open a store without a server.
        objects._store.cache_clear()
        yield served
