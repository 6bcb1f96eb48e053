"""The photos in a tar, also those that stand in it as links to others."""

import os
from collections.abc import Iterator
from posixpath import normpath

from preprocess import tar_format
from preprocess.sources import photo
from preprocess.sources.photo import Found, is_photo
from preprocess.tar_format import Entry

HEADER_SIZE = tar_format.BLOCK
_MOST_LINKS = 40  # from one to the next; what Linux allows, so that a loop ends


def begins(block: bytes) -> bool:
    """Say whether this is how a tar begins."""
    return tar_format.is_header(block)


def found(descriptor: int) -> Iterator[Found]:
    """Yield the photos of the tar that `descriptor` has open, those that are links last.

    Raises ValueError where it is no tar, or not a whole one.
    """
    links = []
    for entry in tar_format.entries(descriptor):
        if not is_photo(entry.name):
            continue
        if entry.link is None:
            yield _photo(entry.name, entry)
        else:
            links.append(entry)
    if links:
        files = {normpath(entry.name): entry for entry in tar_format.entries(descriptor)}
        for entry in links:
            yield _photo(entry.name, _followed(entry, files))


def read(descriptor: int, offset: int, size: int) -> bytes:
    """Return the photo at a place. Raises ValueError where it is cut off, OSError by the disk."""
    data = os.pread(descriptor, size, offset)
    if len(data) < size:
        raise ValueError("it is cut off")
    return data


def _photo(member: str, entry: Entry | None) -> Found:
    if entry is None:
        return Found(member, "a link that leads nowhere in the tar", "")
    place = (entry.offset, entry.size)
    if entry.is_sparse:
        place = "stored with its holes left out: make the tar without --sparse"
    elif entry.size > photo.MAX_PHOTO_BYTES:
        place = photo.TOO_LARGE
    # A tar has no checksum of what a file holds.
    return Found(member, place, f"{entry.size} {entry.changed}")


def _followed(entry: Entry | None, files: dict[str, Entry]) -> Entry | None:
    for _ in range(_MOST_LINKS):
        if entry is None or entry.link is None:
            return entry
        entry = files.get(normpath(entry.link))
    return None
