"""The photos in a tar, also those that stand in it as links to others."""

import os
import tarfile
from collections.abc import Iterator
from posixpath import dirname, join, normpath
from typing import NamedTuple

from preprocess.sources import photo
from preprocess.sources.photo import Found, is_picture

HEADER_SIZE = tarfile.BLOCKSIZE
_MOST_LINKS = 40  # from one to the next; what Linux allows, so that a loop ends
_TEXT = {"encoding": "utf-8", "errors": "surrogateescape"}


class _Entry(NamedTuple):
    """A file of the tar, or a link, which leads to the member `link`."""

    offset: int
    size: int
    changed: int
    link: str | None
    is_sparse: bool


def begins(block: bytes) -> bool:
    """Return whether a tar begins with this block."""
    try:
        tarfile.TarInfo.frombuf(block, **_TEXT)
    except tarfile.HeaderError:
        return False
    return True


def found(descriptor: int) -> Iterator[Found]:
    """Yield the photos of the tar that `descriptor` has open, those that are links last.

    Raises ValueError where it is no tar, or not a whole one.
    """
    links = []
    for name, entry in _entries(descriptor):
        if not is_picture(name):
            continue
        if entry.link is None:
            yield _photo(name, entry)
        else:
            links.append((name, entry))
    if links:
        files = {normpath(name): entry for name, entry in _entries(descriptor)}
        for name, entry in links:
            yield _photo(name, _followed(entry, files))


def read(descriptor: int, offset: int, size: int) -> bytes:
    """Return the photo at a location. Raises ValueError where it is cut off, OSError by the disk."""
    data = os.pread(descriptor, size, offset)
    if len(data) < size:
        raise ValueError("it is cut off")
    return data


def _entries(descriptor: int) -> Iterator[tuple[str, _Entry]]:
    """Yield the files and links of a tar by their names, in their order. Raises ValueError as `found` does."""
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        try:
            tar = tarfile.open(fileobj=file, mode="r:", **_TEXT)  # noqa: SIM115, it closes nothing
            at = -1
            while member := tar.next():
                tar.members.clear()  # it keeps them all, 200 MB for CelebA
                if tar.offset <= at:  # some versions of Python follow a hostile size backwards, for ever
                    raise tarfile.ReadError("a number in it is damaged")
                at = tar.offset
                if member.isfile() or member.islnk() or member.issym():
                    yield member.name, _entry(member)
        except (OverflowError, ValueError):  # of seeking to where no file reaches
            raise ValueError("its end is missing") from None
        except (tarfile.TarError, RecursionError) as error:
            raise ValueError(str(error)) from None
        # It takes a damaged header behind the first for the end.
        end = os.pread(descriptor, HEADER_SIZE, tar.offset)
        if len(end) < HEADER_SIZE:
            raise ValueError("its end is missing")
        if any(end):
            raise ValueError(f"its header at byte {tar.offset} is damaged")


def _entry(member: tarfile.TarInfo) -> _Entry:
    link = None
    if member.issym():
        link = join(dirname(member.name), member.linkname)
    elif member.islnk():
        link = member.linkname
    return _Entry(member.offset_data, member.size, int(member.mtime), link, member.issparse())


def _photo(member: str, entry: _Entry | None) -> Found:
    if entry is None:
        return Found(member, (), "", "a link that leads nowhere in the tar")
    problem = ""
    if entry.is_sparse:
        problem = "stored with its holes left out: make the tar without --sparse"
    elif entry.size > photo.MAX_PHOTO_BYTES:
        problem = photo.TOO_LARGE
    # A tar has no checksum of what a file holds. The time has the digits of a header, as in fingerprints of old.
    return Found(member, (entry.offset, entry.size), f"{entry.size} {entry.changed:011o}", problem)


def _followed(entry: _Entry | None, files: dict[str, _Entry]) -> _Entry | None:
    for _ in range(_MOST_LINKS):
        if entry is None or entry.link is None:
            return entry
        entry = files.get(normpath(entry.link))
    return None
