"""A photo in a container, and which names are photos."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import click

from system.objects import Url

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".png", ".webp")
# Pictures that are not read, but counted in a message.
OTHER_SUFFIXES = (
    *(".apng", ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".jp2", ".j2k", ".jxl", ".tga", ".tif", ".tiff"),
    *(".pbm", ".pgm", ".pnm", ".ppm", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"),
)
_PICTURE_SUFFIXES = PHOTO_SUFFIXES + OTHER_SUFFIXES
MAX_PHOTO_BYTES = 128 << 20  # a photo larger than this is rejected before it fills the memory
TOO_LARGE = f"larger than {MAX_PHOTO_BYTES >> 20} MiB"

Location = tuple[Any, ...]  # what a container needs to read one photo: a path, or byte offsets and sizes


class Entry(NamedTuple):
    """A photo in a container, a picture of another kind, or a folder that cannot be read: its path ends in a slash."""

    path: str  # in the container; the file name becomes the photo's id
    location: Location  # where its bytes are; empty where they cannot be used
    signature: str  # a text that changes when the photo is replaced
    problem: str = ""  # why the photo cannot be used


class Container(Protocol):
    """A folder, an archive or the objects in a bucket. Frozen and picklable: it goes to the workers."""

    @property
    def path(self) -> Path | Url:
        """The folder, the file or the objects."""

    def entries(self) -> Iterator[Entry]:
        """Yield every picture in it, without reading any. Raises click.UsageError where it cannot be listed."""

    def opened(self, ahead: Iterable[Location]) -> AbstractContextManager[Callable[..., bytes]]:
        """Open it, without listing it, to read the photo at a location: `read(*location)`.

        Locations that come `ahead` will be read in this order, and may be read before they are asked for.
        That raises UnusablePhoto for a photo that cannot be read, and click.ClickException when the container is gone.
        """


def is_picture(path: str) -> bool:
    """Return whether a path is that of a photo, or of a picture of another kind, that is not hidden."""
    return path.lower().endswith(_PICTURE_SUFFIXES) and is_visible(path)


def is_visible(path: str) -> bool:
    """Return whether no part of the path is hidden, or a folder that hides its files. `./` and `../` are visible."""
    # A Mac's resource forks, thumbnails of a Synology NAS, what was deleted under Windows.
    if "__MACOSX/" in path or "@eaDir/" in path or "$RECYCLE.BIN/" in path:
        return False
    # The first test settles most paths, in a tenth of the time.
    return "/." not in f"/{path}" or not any(part[:1] == "." and part.strip(".") for part in path.split("/"))


def unreadable(error: OSError) -> str:
    """Return why a photo cannot be used that the system refuses to read."""
    return f"unreadable: {error.strerror}"


def vanished(path: Path | Url) -> click.ClickException:
    """Return the error for a file or folder that was listed and is gone."""
    return click.ClickException(f"{path} cannot be read any more. Bring it back: the same command continues.")
