"""The photos in a zip, and in zips that lie in it uncompressed, as in Kaggle's archive of CelebA."""

import os
from collections.abc import Iterator

from preprocess.sources import photo, zip_format
from preprocess.sources.photo import Found, is_picture, is_visible
from preprocess.sources.zip_format import Entry

read = zip_format.read  # a location is its arguments after the descriptor


def found(descriptor: int) -> Iterator[Found]:
    """Yield the photos of the zip that `descriptor` has open. Raises ValueError where it is none, or not whole."""
    length = os.fstat(descriptor).st_size
    room = length
    for entry in zip_format.entries(descriptor, 0, length):
        member = _slashed(entry.name)
        if is_picture(member):
            yield _photo(member, entry)
        elif member.lower().endswith(".zip") and is_visible(member):
            if entry.method != zip_format.STORED or entry.is_encrypted:
                yield Found(member, (), str(entry.crc), "a zip that cannot be read in place: unpack what it lies in")
                continue
            room -= entry.stored_size
            if room < 0:  # they overlap, so that a small file could seem to hold photos without end
                raise ValueError("its directory is damaged")
            try:
                yield from _found_inside(descriptor, entry, member)
            except ValueError as error:
                raise ValueError(f"of {member} in it, {error}") from None


def _found_inside(descriptor: int, zipped: Entry, within: str) -> Iterator[Found]:
    for entry in zip_format.entries(descriptor, zip_format.data_start(descriptor, zipped), zipped.stored_size):
        member = f"{within}/{_slashed(entry.name)}"
        if is_picture(member):
            yield _photo(member, entry)


def _photo(member: str, entry: Entry) -> Found:
    location, problem = (entry.offset, entry.stored_size, entry.size, entry.method, entry.crc), ""
    if entry.is_encrypted:
        problem = "encrypted: unpack the zip with its password, and name the folder"
    elif entry.method not in (zip_format.STORED, zip_format.DEFLATED):
        method = zip_format.OTHER_METHODS.get(entry.method, f"method {entry.method}")
        problem = f"compressed with {method}, which cannot be read here: unpack the zip, and name the folder"
    elif max(entry.stored_size, entry.size) > photo.MAX_PHOTO_BYTES:
        problem = photo.TOO_LARGE
    return Found(member, location, f"{entry.size} {entry.crc}", problem)


def _slashed(name: str) -> str:
    """Return a path as it should stand in a zip: some programs on Windows write backslashes."""
    return name.replace("\\", "/")
