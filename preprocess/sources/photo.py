"""What every kind of source says of the photos that it finds, and which names are photos."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import click

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MAX_PHOTO_BYTES = 128 << 20  # a photo larger than this is rejected before it fills the memory
TOO_LARGE = f"larger than {MAX_PHOTO_BYTES >> 20} MiB"
UNREADABLE = "cannot be read from the disk"

Place = tuple[Any, ...]  # what a part of a source needs to find one photo: small, and meaningless to everyone else


class Found(NamedTuple):
    """A photo that a part of a source holds.

    Attributes:
        member: its path in there; the last part of it becomes the photo's id.
        place: where its bytes are, or in words why they cannot be used.
        mark: what changes when it is replaced.

    """

    member: str
    place: Place | str
    mark: str


class Part(Protocol):
    """A folder or an archive. Frozen and picklable: it goes to the workers."""

    path: Path

    def found(self) -> Iterator[Found]:
        """Yield every photo in it, without reading any. Raises click.UsageError where it cannot be listed."""

    def opened(self) -> AbstractContextManager[Callable[..., bytes]]:
        """Open it, without listing it, to read the photo at a place: `read(*place)`.

        That raises Rejected for a photo that cannot be read, and click.ClickException when the part is gone.
        """


def is_photo(member: str) -> bool:
    """Say whether a path is that of a photo which its owner would see."""
    return member.lower().endswith(PHOTO_SUFFIXES) and is_visible(member)


def is_visible(member: str) -> bool:
    """Say whether no folder on the path is hidden, nor the file, nor a Mac's shadow copies. `./` and `../` are not."""
    if "__MACOSX/" in member:
        return False
    # Most paths are done with here: a tenth of the time that it takes to look at the parts of each.
    return "/." not in f"/{member}" or not any(part[:1] == "." and part.strip(".") for part in member.split("/"))


def vanished(path: Path) -> click.ClickException:
    """Return what to raise when something that was listed is not there any more."""
    return click.ClickException(f"{path} cannot be read any more. Bring it back: the same command continues.")
