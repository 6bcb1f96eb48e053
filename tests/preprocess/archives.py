"""Archives in memory, written by Python's own zipfile and tarfile; and all that a source holds."""

import io
import tarfile
import zipfile


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    """A zip of these files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.comment = comment
    return made.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def read_all(source) -> dict[str, bytes]:
    with source.opened() as read:
        return {photo_id: read(location) for photo_id, location in source.list().photos.items()}


def reasons(source) -> dict[str, str]:
    return {rejection.id: rejection.reason for rejection in source.list().rejected}
