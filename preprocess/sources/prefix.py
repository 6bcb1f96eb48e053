"""Photos in a bucket, an object each."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from preprocess.sources import photo
from preprocess.sources.photo import Entry, Location, is_picture
from system.objects import MissingObject, ReplacedObject, Url
from system.threads import read_ahead


@dataclass(frozen=True)
class Prefix:
    """The photos below a prefix. A location is a key behind the prefix, and the ETag that was listed."""

    path: Url

    def entries(self) -> Iterator[Entry]:
        """See Container. In the order of the listing, which is that of paths on all servers but a few."""
        for name, size, etag in self.path.list():
            if is_picture(name):
                problem = photo.TOO_LARGE if size > photo.MAX_PHOTO_BYTES else ""
                yield Entry(name, (name, etag), f"{size} {etag}", problem)

    @contextmanager
    def opened(self, ahead: Iterable[Location] = ()) -> Iterator[Callable[[str, str], bytes]]:
        """See Container."""
        with read_ahead(self._read, ahead) as read:
            yield lambda *location: read(location)

    def _read(self, location: Location) -> bytes:
        name, etag = location
        try:
            return (self.path / name).read(etag)
        except (MissingObject, ReplacedObject):
            raise click.ClickException(
                f"{self.path / name} was replaced or removed after the photos were listed. Bring back what was there, "
                "and the same command continues; or begin anew with another --out."
            ) from None
