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

_BITS = {b"-1": 0, b"0": 0, b"1": 1}
_SPLIT_OF = {str(number).encode(): split for number, split in enumerate(SPLITS)}


@dataclass(frozen=True)
class Attributes:
    """Attribute names in the list's order, and for each photo id one byte, 0 or 1, for each of them."""

    names: tuple[str, ...]
    rows: dict[str, bytes]


def read_attributes(path: Path, ids: Iterable[str]) -> Attributes:
    """Read `list_attr_celeba.txt` (how many rows, the names, the rows) or `.csv` (image_id and the names, the rows).

    Only rows of `ids` are looked at and kept: a list usually names more photos than there are.
    Raises click.UsageError naming file and line.
    """
    with _opened(path) as file:
        line, header, promised = 1, file.readline(), None
        comma = _separator(header)
        if comma is None:
            if not header.strip().isdigit():
                raise _malformed(path, line, "the official list begins with the number of its rows")
            line, header, promised = 2, file.readline(), int(header)
        names = _values(header, comma)[1 if comma else 0 :]
        if not names or any(name in _BITS for name in names):
            raise _malformed(path, line, "the attribute names are missing here")

        rows: dict[str, bytes] = {}
        for number, photo_id, values in _rows(path, file, line + 1, comma, ids, promised):
            if len(values) != len(names):
                raise _malformed(path, number, f"{photo_id} has {len(values)} values for {len(names)} attributes")
            try:
                rows[photo_id] = bytes(map(_BITS.__getitem__, values))
            except KeyError:
                raise _malformed(path, number, f"a value of {photo_id} is neither 1 nor -1") from None
    return Attributes(tuple(name.decode(errors="replace") for name in names), rows)


def read_partitions(path: Path, ids: Iterable[str]) -> dict[str, str]:
    """Read `list_eval_partition.txt` (the rows) or `.csv` (a header, the rows): the split of each of `ids` in it.

    0 is train, 1 valid, 2 test. Raises click.UsageError naming file and line.
    """
    with _opened(path) as file:
        first = file.readline()
        comma = _separator(first)
        if comma and _values(first, comma)[1:] != [b"partition"]:
            raise _malformed(path, 1, "the header image_id,partition is missing here")
        lines, start = (file, 2) if comma else (chain([first], file), 1)

        splits: dict[str, str] = {}
        for number, photo_id, values in _rows(path, lines, start, comma, ids):
            if len(values) != 1 or values[0] not in _SPLIT_OF:
                raise _malformed(path, number, f"{photo_id} needs one of 0 (train), 1 (valid), 2 (test)")
            splits[photo_id] = _SPLIT_OF[values[0]]
    return splits


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a list behind the mark that spreadsheets put before the first name.

    As bytes: most rows are passed over, and that takes 0.1 s for 202,599 of them where text takes 0.2 s.
    """
    with path.open("rb") as file:
        if file.peek(3).startswith(codecs.BOM_UTF8):
            file.seek(3)
        yield file


def _separator(header: bytes) -> bytes | None:
    """Return what `bytes.split` takes: a comma, or None for runs of blanks."""
    return b"," if b"," in header else None


def _values(line: bytes, comma: bytes | None) -> list[bytes]:
    return [value.strip() for value in line.split(comma)] if comma else line.split()


def _rows(
    path: Path,
    lines: Iterable[bytes],
    start: int,
    comma: bytes | None,
    ids: Iterable[str],
    promised: int | None = None,
) -> Iterator[tuple[int, str, list[bytes]]]:
    """Yield line number, id and values of each row of `ids`, then hold the count of all rows against the promised."""
    wanted = {photo_id.encode(): photo_id for photo_id in ids}
    seen = set()
    count, number = 0, start
    for number, line in enumerate(lines, start):
        fields = line.split(comma, 1)
        if not fields:  # a blank line
            continue
        count += 1
        photo_id = wanted.get(fields[0])
        if photo_id is None:
            continue
        if photo_id in seen:
            raise _malformed(path, number, f"{photo_id} has a row before this one")
        seen.add(photo_id)
        yield number, photo_id, _values(fields[1], comma) if len(fields) > 1 else []
    if promised is not None and count != promised:
        raise _malformed(path, number, f"the first line promises {promised} rows, but {count} follow")


def _malformed(path: Path, line: int, what: str) -> click.UsageError:
    return click.UsageError(f"{path}, line {line}: {what}. Download the list again, or correct the line.")
