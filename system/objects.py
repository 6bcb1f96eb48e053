"""Objects in a bucket, on a web server or in a data set of the Hugging Face Hub, by their URLs.

obstore reads and writes them; it is imported, and a store opened, when a URL is first used in a process. From then on
the process has threads that Python does not know: what is forked after that hangs. A URL can be pickled; credentials
are those of the process that uses it.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import unquote

import click

from system.threads import awaited

if TYPE_CHECKING:
    from obstore.store import ObjectStore

T = TypeVar("T")

BUCKETS = ("s3", "s3a", "gs", "az", "abfs", "abfss")
READ_ONLY = ("http", "https", "hf")  # and not to be listed

TIMEOUT = "600s"  # of a whole request, progress or not: obstore's 30 s are too few for a shard on a slow link
READ_TIMEOUT = "30s"  # without a byte
STOP_SECONDS = 0.2  # between two looks whether a download is to be stopped

_CREDENTIALS = re.compile(
    "ExpiredToken|InvalidToken|TokenRefreshRequired|InvalidAccessKeyId|SignatureDoesNotMatch|RequestTimeTooSkewed"
    "|AuthenticationFailed|InvalidAuthenticationInfo|Unauthenticated|401 Unauthorized"
)
# Where obstore asks for credentials when the environment has none: the metadata of a cloud's machine.
_NO_CREDENTIALS = re.compile("169[.]254[.]169[.]254|latest/api/token|metadata[.]google|MissingAccount")


class StorageError(click.ClickException):
    """An object that cannot be read or written: one sentence. Nothing is wrong with what it holds."""


class MissingObject(StorageError):
    """There is no object of this name."""


class ReplacedObject(StorageError):
    """The object is not the one with this ETag any more."""


class Object(NamedTuple):
    """An object in a listing: its URL's text behind the prefix, bytes, and ETag, "" where the server has none.

    Two objects of one name and ETag hold the same bytes. The same bytes written twice may have two ETags (Azure).
    """

    name: str
    size: int
    etag: str


@dataclass(frozen=True, order=True)
class Url:
    """An object, or a prefix of objects: scheme://bucket/key, without a slash at its end."""

    text: str

    def __str__(self) -> str:
        return self.text

    def __truediv__(self, name: str) -> Url:
        return Url(f"{self.text}/{name}")

    @property
    def name(self) -> str:
        """The last part of the key, or the bucket."""
        return self.text.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The name's last suffix, as ".zip"; "" without one."""
        return PurePosixPath(self.name).suffix

    @property
    def parents(self) -> list[Url]:
        """The prefixes above, the nearest first; the last is the bucket."""
        root, key = _divided(self.text)
        parts = key.split("/") if key else []
        return [Url("/".join((root, *parts[:count]))) for count in reversed(range(len(parts)))]

    @property
    def can_write(self) -> bool:
        """Whether it can be written and listed: it is in a bucket."""
        return self.text.partition("://")[0] in BUCKETS

    def read(self, etag: str = "", start: int = 0, end: int | None = None) -> bytes:
        """Return an object's bytes, or those from `start` to `end`; fewer where it ends before.

        Raises ReplacedObject where the object has another ETag than this, MissingObject, StorageError.
        """
        with _reported(self, "read"):
            store, key = _place(self)
            return awaited(lambda: store.get(key, options=_options(etag, start, end)).bytes().to_bytes())

    def blocks(self, etag: str = "", is_stopped: Callable[[], bool] = lambda: False) -> Iterator[bytes]:
        """Yield an object's bytes in blocks of at least 1 MiB, as they come.

        Raises as `read` does, and StorageError soon after it is stopped, whatever the network does.
        """
        import asyncio  # 30 ms that runs on local paths need not spend

        with _reported(self, "read"), closing(asyncio.new_event_loop()) as loop:
            store, key = _place(self)

            def wait(request: Coroutine[Any, Any, T]) -> T:
                task = loop.create_task(request)
                while not task.done():
                    loop.run_until_complete(asyncio.wait({task}, timeout=STOP_SECONDS))
                    if is_stopped():
                        task.cancel()
                        loop.run_until_complete(asyncio.wait({task}, timeout=STOP_SECONDS))
                        raise StorageError(f"{self} was not read to its end: that was stopped.")
                return task.result()

            async def opened() -> AsyncIterator[bytes]:
                answer = await store.get_async(key, options=_options(etag))
                return aiter(answer.stream(min_chunk_size=1 << 20))

            async def following() -> bytes:
                return await anext(stream, b"")

            stream = wait(opened())
            while block := wait(following()):
                yield block

    def look(self) -> Object:
        """Return name, size and ETag. Raises MissingObject, StorageError."""
        with _reported(self, "read"):
            store, key = _place(self)
            described = awaited(lambda: store.head(key))
            return Object(self.name, described["size"], _strong(described["e_tag"]))

    def read_bytes(self) -> bytes:
        """Return an object's bytes, as a Path does. Raises as `read` does."""
        return self.read()

    def absolute(self) -> Url:
        """Return the URL itself, as a Path does."""
        return self

    def is_file(self) -> bool:
        """Return whether there is such an object. Raises StorageError."""
        with suppress(MissingObject):
            return _divided(self.text)[1] != "" and self.look() is not None
        return False

    def write(self, data: bytes | memoryview) -> str:
        """Put an object whole, in one request, in place of what may be there; return its ETag.

        A reader sees all of it or what was there before. Raises StorageError.
        """
        with _reported(self, "written"):
            store, key = _place(self)
            return _strong(awaited(lambda: store.put(key, data, use_multipart=False))["e_tag"])

    def create(self, data: bytes) -> bytes:
        """Put an object where there is none; return what is there then: this or another's. Raises StorageError.

        Of two at the same moment one comes first, except on a server that ignores preconditions.
        """
        with suppress(MissingObject):
            return self.read()
        try:
            with _reported(self, "written"):
                store, key = _place(self)
                awaited(lambda: store.put(key, data, mode="create"))
                return data
        except StorageError as refused:  # there is one; or the answer was lost, as obstore does not ask again
            try:
                return self.read()
            except MissingObject:
                raise refused from None

    def list(self) -> Iterator[Object]:
        """Yield the objects below this prefix, in the order of their keys where the server lists so, as S3 does.

        Raises StorageError.
        """
        with _reported(self, "listed"):
            store, key = _place(self)
            begin = len(key) + 1 if key else 0
            pages = iter(store.list(key or None))
            while page := awaited(lambda: next(pages, None)):
                for described in page:
                    if name := described["path"][begin:]:  # "" is what some programs put for a folder
                        yield Object(name, described["size"], _strong(described["e_tag"]))

    def remove(self, names: Iterable[str]) -> None:
        """Remove the objects of these names below this prefix; one that is gone is no error. Raises StorageError."""
        with _reported(self, "removed"):
            store, key = _place(self)
            keys = [f"{key}/{name}" if key else name for name in names]
            if not keys:
                return
            try:
                awaited(lambda: store.delete(keys))
            except FileNotFoundError:  # of Azure and Google, where the rest may still be there
                for key in keys:
                    with suppress(FileNotFoundError):
                        store.delete(key)


def url_of(text: str) -> Url | None:
    """Return the URL in a text, or None where it is that of a local path.

    Raises ValueError, a sentence, for a URL that cannot be read.
    """
    if not is_url(text):
        return None
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    if scheme not in BUCKETS + READ_ONLY:
        raise ValueError(
            f"{text!r} is a URL of another kind than those that are read and written (s3, gs, az, abfs) or read "
            "(https, hf). Mount it and give the path where it is mounted, or copy the files."
        )
    rest = rest.rstrip("/")
    if scheme == "hf" and not re.fullmatch(r"datasets/[^/@]+/[^/@]+(@[^/]+)?(/.+)?", rest):
        raise ValueError(f"{text!r} is no data set: hf://datasets/OWNER/NAME, or hf://datasets/OWNER/NAME@REVISION.")
    if scheme.startswith("http") and re.search(r"[?]|^[^/]*@", rest):
        raise ValueError(
            f"{text!r} has a query or a password, and what is in an address is written down: leave it out."
        )
    if not all(part not in ("", ".", "..") for part in rest.split("/")):
        raise ValueError(f"{text!r} names no bucket, or has an empty part: {scheme}://BUCKET/PREFIX.")
    return Url(f"{scheme}://{rest}")


def is_url(text: str) -> bool:
    """Return whether a text is a URL rather than a local path, supported or not."""
    return re.match(r"[a-z][a-z0-9+.-]+:/|.*://", text, re.IGNORECASE | re.DOTALL) is not None


@contextmanager
def _reported(url: Url, action: str) -> Iterator[None]:
    """Raise StorageError, one sentence, in place of what obstore raises."""
    try:
        yield
    except click.ClickException:
        raise
    except FileNotFoundError:
        raise MissingObject(f"{url} does not exist.") from None
    except Exception as error:
        if not (isinstance(error, ValueError | NotImplementedError) or type(error).__module__.startswith("obstore")):
            raise
        raise _sentence(url, action, error) from None


def _sentence(url: Url, action: str, error: Exception) -> StorageError:
    text = str(error).partition("\n\nDebug source:")[0]
    if type(error).__name__ == "PreconditionError":
        return ReplacedObject(f"{url} was replaced meanwhile.")
    if _NO_CREDENTIALS.search(str(error)):
        return StorageError(
            f"{url} needs credentials, and there are none in the environment: docs/buckets.md says which variables "
            "each cloud reads. Of what anybody may read: AWS_SKIP_SIGNATURE=true."
        )
    code = re.search(r"<Code>(\w+)</Code>", text)
    if refused := _CREDENTIALS.search(text + type(error).__name__):
        name = code[1] if code else refused[0]
        return StorageError(f"{url} refused the credentials ({name}). Renew them; the same command continues.")
    if type(error).__name__ == "PermissionDeniedError" or (code and code[1] == "AccessDenied"):
        return StorageError(f"{url} cannot be {action}: the credentials do not allow it. Change their permissions.")
    reason = code[1] if code else text.rpartition(" - ")[2].strip()[:200]
    return StorageError(f"{url} cannot be {action}: {reason}. Correct that; the same command continues.")


def _options(etag: str, start: int = 0, end: int | None = None) -> Any:
    return ({"if_match": etag} if etag else {}) | ({} if end is None else {"range": (start, end)})


def _strong(etag: str | None) -> str:
    """Return an ETag that a request can be bound to: no weak one, which says that bytes may differ.

    In quotes: Azure has them in answers, but not in listings.
    """
    return f'"{etag.strip(chr(34))}"' if etag and not etag.startswith("W/") else ""


def _divided(text: str) -> tuple[str, str]:
    """Return the part of a URL that names a bucket or a web server, and the rest."""
    scheme, _, rest = text.partition("://")
    root, _, key = rest.partition("/")
    return f"{scheme}://{root}", key


def _place(url: Url) -> tuple[ObjectStore, str]:
    """Return the store that a URL is in, and the key there."""
    text = url.text
    if text.startswith("hf://"):
        owner, dataset, *path = text.removeprefix("hf://datasets/").split("/")
        name, _, revision = dataset.partition("@")
        text = "/".join((_hub(), "datasets", owner, name, "resolve", revision or "main", *path))
    root, key = _divided(text)
    return _store(root), unquote(key) if text.startswith("http") else key


@cache
def _store(root: str) -> ObjectStore:
    """Open a store, once in a process. Raises click.UsageError where obstore is not installed."""
    try:
        from obstore.store import from_url
    except ModuleNotFoundError:
        raise click.UsageError(
            f"{root} needs obstore, which is not installed: pip install -r requirements-bucket.txt"
        ) from None
    # Client options that are given replace those of the environment.
    allowed = (os.environ.get(f"{cloud}_ALLOW_HTTP", "").lower() for cloud in ("AWS", "AZURE", "GOOGLE"))
    is_plain = root.startswith("http://") or not {"true", "1"}.isdisjoint(allowed)
    options: Any = {"timeout": TIMEOUT, "read_timeout": READ_TIMEOUT, "allow_http": is_plain}
    if root == _hub() and (token := os.environ.get("HF_TOKEN")):
        options["default_headers"] = {"authorization": f"Bearer {token}"}
    return from_url(root, client_options=options)


def _hub() -> str:
    """Return the address of the Hugging Face Hub, or of its mirror that the environment names."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co")
