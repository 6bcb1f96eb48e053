"""Archives and photos in memory, written by Python's zipfile and tarfile and by Pillow; and all that a source holds."""

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable

from PIL import Image


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    """A zip of these files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.comment = comment
    return made.getvalue()


def tarred(
    files: dict[str, bytes], form: int = tarfile.DEFAULT_FORMAT, links: Iterable[tuple[str, bytes, str]] = ()
) -> bytes:
    """A tar of these files, and of links: each with its name, its type and what it leads to."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for name, kind, target in links:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            archive.addfile(entry)
    return made.getvalue()


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    made = io.BytesIO()
    image.save(made, kind, **options)
    return made.getvalue()


def chunk(name: bytes, data: bytes, wrong: int = 0) -> bytes:
    """A chunk of a PNG; its checksum is wrong where `wrong` is not 0."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data) ^ wrong)


def read_all(source) -> dict[str, bytes]:
    with source.opened() as read:
        return {photo_id: read(location) for photo_id, location in source.list().photos.items()}


def reasons(source) -> dict[str, str]:
    return {rejection.id: rejection.reason for rejection in source.list().rejected}
