"""Where shards go: a folder, or a prefix in a bucket."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from preprocess import bucket, staging
from preprocess.manifest import Document
from preprocess.shard import Folder, Unfinished
from system.objects import Url


class Destination(Protocol):
    """The steps from unfinished shards to published ones, and what a check and a repair need.

    Two modules have them, staging.py for folders and bucket.py for prefixes: `out` is a Path there and a Url here. Each
    step can be repeated after a kill at any moment.
    """

    def is_begun(self, out: Any) -> bool:
        """Return whether an unfinished run has been here."""

    def finished(self, out: Any) -> Document | None:
        """Return the manifest of the shards here, or None where there are none of ours."""

    def up_to_date(self, out: Any, recipe: Document) -> Document | None:
        """Return the manifest where these are the shards of this recipe, each in its full size, else None."""

    def check_ours(self, out: Any) -> None:
        """Raise click.UsageError where this program did not make what is here."""

    def locked(self, out: Any, *, timeout_s: float = ...) -> AbstractContextManager[None]:
        """Keep other runs away, where that can be done."""

    def begin(
        self, out: Any, recipe: Document, versions: Document, overwrite: bool, in_parts: bool = False
    ) -> Unfinished:
        """Return where to write shards, others perhaps at the same time where they are made `in_parts`.

        Raises click.UsageError where those of other settings are here.
        """

    def complete(self, out: Any, rejected: str, documents: Mapping[str, Document], manifest: Document) -> None:
        """Write what describes the shards, when all are written, the manifest last."""

    def publish(self, out: Any) -> None:
        """Put complete shards, if there are any, in the place of older ones, and remove what was unfinished."""

    def clear(self, out: Any) -> None:
        """Remove what is unfinished."""

    def shard_names(self, out: Any) -> Collection[str]:
        """Return the names of all shards here, also of those that the manifest does not list."""

    def opened(self, out: Any, name: str) -> BinaryIO | None:
        """Open a file or object for reading, or return None where it is missing."""

    def write(self, out: Any, name: str, text: str) -> None:
        """Replace a file or object by a text."""

    def repairing(self, out: Any, versions: Document) -> AbstractContextManager[Folder]:
        """Open a local folder to write shards again into."""

    def restore(self, out: Any, repaired: Folder, names: Iterable[str]) -> None:
        """Replace these shards by those that were written again."""


def destination(out: Path | Url) -> Destination:
    """Return the steps for a folder or a prefix."""
    if isinstance(out, Url):
        return bucket
    return staging
