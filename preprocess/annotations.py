"""CelebA's attribute and partition lists: the official text files and Kaggle's CSV."""

import codecs
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import click

from preprocess.plan import SPLITS

ATTRIBUTES, PARTITIONS = "list_attr_celeba", "list_eval_partition"  # names of the lists, .txt or .csv

_LEVELS_OUT = (
    2  # Kaggle's archive unpacks to img_align_celeba/img_align_celeba/*.jpg, with the lists next to the outer folder
)
_ZERO_AND_ONE = bytes.maketrans(b"01", b"\0\1")
_SPLIT_OF = {str(number).encode(): split for number, split in enumerate(SPLITS)}


@dataclass(frozen=True)
class Attributes:
    """Attribute names in the list's order, and for each photo id one byte, 0 or 1, for each of them."""

    names: tuple[str, ...]
    rows: dict[str, bytes]


def find_list(name: str, sources: Iterable[Path]) -> Path | None:
    """Return the list of this name in a folder of photos, in a source's parent folder, or up to two levels above.

    The nearest one counts; None where there is none.
    """
    for source in sources:
        for folder in (source, *source.absolute().parents[: 1 + _LEVELS_OUT]):
            for suffix in (".txt", ".csv"):
                if (path := folder / (name + suffix)).is_file():
                    return path
    return None


def read_attributes(path: Path, ids: Iterable[str]) -> Attributes:
    """Read `list_attr_celeba.txt` (how many rows, the names, the rows) or `.csv` (image_id and the names, the rows).

    Only rows of `ids` are checked and kept: a list usually names more photos than there are.
    Raises click.UsageError naming file and line.
    """
    with _opened(path) as file:
        line, header, promised = 1, file.readline(), None
        comma = _separator(header)
        if comma is None:
            try:
                line, header, promised = 2, file.readline(), int(header)
            except ValueError:
                raise _malformed(path, 1, "the official list begins with the number of its rows") from None
        names = _fields(header, comma)[1 if comma else 0 :]
        if not names or {b"-1", b"0", b"1"} & set(names):
            raise _malformed(path, line, "the attribute names are missing here")

        rows: dict[str, bytes] = {}
        for number, photo_id, values in _rows(path, file, line + 1, comma, ids, promised):
            rows[photo_id] = _bits(values)
            if len(rows[photo_id]) != len(names) or rows[photo_id].strip(b"\0\1"):
                raise _malformed(path, number, f"{photo_id} needs {len(names)} values, each 1 or -1")
    return Attributes(tuple(name.decode(errors="replace") for name in names), rows)


def read_partitions(path: Path, ids: Iterable[str]) -> dict[str, str]:
    """Read `list_eval_partition.txt` (the rows) or `.csv` (a header, the rows): the split of each of `ids` in it.

    0 is train, 1 valid, 2 test. Raises click.UsageError naming file and line.
    """
    with _opened(path) as file:
        first = file.readline()
        comma = _separator(first)
        if comma and _fields(first, comma)[1:] != [b"partition"]:
            raise _malformed(path, 1, "the header image_id,partition is missing here")
        lines, start = (file, 2) if comma else (chain([first], file), 1)

        splits: dict[str, str] = {}
        for number, photo_id, value in _rows(path, lines, start, comma, ids):
            split = _SPLIT_OF.get(value.strip())
            if split is None:
                raise _malformed(path, number, f"{photo_id} needs one of 0 (train), 1 (valid), 2 (test)")
            splits[photo_id] = split
    return splits


def _bits(values: bytes) -> bytes:
    """Return a byte, 0 or 1, for each -1 (in some copies 0) or 1. To split them takes 0.7 s longer on all of CelebA."""
    return values.replace(b"-1", b"0").translate(_ZERO_AND_ONE, b" ,\t\r\n")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a list after the byte order mark that spreadsheets write.

    As bytes: most rows are skipped, which takes 0.1 s for 202,599 of them where text takes 0.2 s.
    """
    with path.open("rb") as file:
        if file.peek(3).startswith(codecs.BOM_UTF8):
            file.seek(3)
        yield file


def _separator(header: bytes) -> bytes | None:
    """Return what `bytes.split` takes: a comma, or None for runs of blanks."""
    return b"," if b"," in header else None


def _fields(line: bytes, comma: bytes | None) -> list[bytes]:
    return [value.strip() for value in line.split(comma)] if comma else line.split()


def _rows(
    path: Path,
    lines: Iterable[bytes],
    start: int,
    comma: bytes | None,
    ids: Iterable[str],
    promised: int | None = None,
) -> Iterator[tuple[int, str, bytes]]:
    """Yield number, id and values of each line of `ids`, then compare the number of rows with the promised one."""
    wanted = {photo_id.encode(): photo_id for photo_id in ids}
    seen = set()
    number, blank = start - 1, 0
    for number, line in enumerate(lines, start):
        fields = line.split(comma, 1)
        if not fields:
            blank += 1
            continue
        photo_id = wanted.get(fields[0])
        if photo_id is None:
            continue
        if photo_id in seen:
            raise _malformed(path, number, f"{photo_id} has a row before this one")
        seen.add(photo_id)
        yield number, photo_id, fields[1] if len(fields) > 1 else b""
    count = number + 1 - start - blank
    if promised is not None and count != promised:
        raise _malformed(path, number, f"the first line promises {promised} rows, but {count} follow")


def _malformed(path: Path, line: int, what: str) -> click.UsageError:
    return click.UsageError(f"{path}, line {line}: {what}. Download the list again, or correct the line.")
