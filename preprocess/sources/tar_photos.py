"""The photos in a tar, links to photos included."""

import tarfile
from collections.abc import Generator, Iterator
from io import BufferedReader
from posixpath import dirname, join, normpath
from typing import NamedTuple

from preprocess.sources import photo
from preprocess.sources.photo import Entry, is_picture
from preprocess.sources.section import Pread, Section

HEADER_SIZE = tarfile.BLOCKSIZE
_CHUNK = 1 << 20  # bytes that are read at once to find what is behind a tar
_MAX_LINKS = 40  # in a row, as on Linux: a loop has to end


class _Member(NamedTuple):
    """A file of the tar, or a link, which leads to the member `link`."""

    offset: int
    size: int
    changed: int
    link: str | None
    is_sparse: bool


def begins(block: bytes) -> bool:
    """Return whether a tar begins with this block."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def entries(pread: Pread, size: int) -> Iterator[Entry]:
    """Yield the pictures of a tar of this size, those that are links last. All of it is read: it has no directory.

    Raises ValueError where the file is no tar, or not a whole one.
    """
    links = []
    for path, member in _members(pread, size):
        if not is_picture(path):
            continue
        if member.link is None:
            yield _entry(path, member)
        else:
            links.append((path, member))
    if links:
        members = {normpath(path): member for path, member in _members(pread, size)}
        for path, link in links:
            yield _entry(path, _followed(link, members))


def extent(offset: int, size: int) -> tuple[int, int]:
    """Return size and offset of what `read` reads."""
    return size, offset


def read(pread: Pread, offset: int, size: int) -> bytes:
    """Return the photo at a location. Raises ValueError where the photo is cut off, OSError where the disk fails."""
    data = pread(size, offset)
    if len(data) < size:
        raise ValueError("it is cut off")
    return data


def _members(pread: Pread, size: int) -> Iterator[tuple[str, _Member]]:
    """Yield the files and links of a tar by their paths, in their order. Raises ValueError as `entries` does.

    Those of tars behind it are among them, as `tar --ignore-zeros` has it after `cat a.tar b.tar > both.tar`.
    """
    start: int | None = 0
    while start is not None:
        end = yield from _members_of_one(pread, start, size)
        start = _next_tar(pread, end, size)


def _members_of_one(pread: Pread, start: int, size: int) -> Generator[tuple[str, _Member], None, int]:
    """Yield what is in the tar that begins at `start`; return the offset at which it ends."""
    with BufferedReader(Section(pread, start, size - start)) as file:
        try:
            tar = tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
            position = -1
            while member := tar.next():
                tar.members.clear()  # type: ignore[attr-defined]  # TarFile keeps them all, 200 MB for CelebA
                if tar.offset <= position:  # some versions of Python follow a hostile size backwards, for ever
                    raise tarfile.ReadError("a number in it is damaged")
                position = tar.offset
                if member.isfile() or member.islnk() or member.issym():
                    yield member.name, _described(member, start)
        except (OverflowError, ValueError):  # of seeking to where no file reaches
            raise ValueError("its end is missing") from None
        except (tarfile.TarError, RecursionError) as error:
            raise ValueError(str(error)) from None
        # tarfile takes a damaged header behind the first for the end.
        end = start + tar.offset
        block = pread(HEADER_SIZE, end)
        if len(block) < HEADER_SIZE:
            raise ValueError("its end is missing")
        if any(block):
            raise ValueError(f"its header at byte {end} is damaged")
        return end


def _next_tar(pread: Pread, end: int, size: int) -> int | None:
    """Return where another tar begins behind the zeros at the end of one; None where there is none."""
    for offset in range(end, size, _CHUNK):
        data = pread(_CHUNK, offset)
        if behind := len(data.lstrip(b"\0")):
            first = (len(data) - behind) // HEADER_SIZE * HEADER_SIZE
            return offset + first if begins(data[first : first + HEADER_SIZE]) else None
    return None


def _described(member: tarfile.TarInfo, start: int) -> _Member:
    link = None
    if member.issym():
        link = join(dirname(member.name), member.linkname)
    elif member.islnk():
        link = member.linkname
    return _Member(start + member.offset_data, member.size, int(member.mtime), link, member.issparse())


def _entry(path: str, member: _Member | None) -> Entry:
    if member is None:
        return Entry(path, (), "", "a link that leads nowhere in the tar")
    problem = ""
    if member.is_sparse:
        problem = "stored with its holes left out: make the tar without --sparse"
    elif member.size > photo.MAX_PHOTO_BYTES:
        problem = photo.TOO_LARGE
    # A tar has no checksum of what a file holds: size and time have to do.
    return Entry(path, (member.offset, member.size), f"{member.size} {member.changed}", problem)


def _followed(member: _Member | None, members: dict[str, _Member]) -> _Member | None:
    for _ in range(_MAX_LINKS):
        if member is None or member.link is None:
            return member
        member = members.get(normpath(member.link))
    return None
