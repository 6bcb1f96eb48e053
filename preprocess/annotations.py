"""Attribute and partition lists: CelebA's text files, and CSV as spreadsheets, pandas and R write it."""

import csv
import os
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

import click

from preprocess.plan import SPLITS
from system.objects import Url

ATTRIBUTES, PARTITIONS = "list_attr_celeba", "list_eval_partition"  # names of the lists, .txt or .csv

# Kaggle's archive unpacks to img_align_celeba/img_align_celeba/*.jpg, with the lists next to the outer folder.
_LEVELS_ABOVE = 2
_BELOW = ("", "Anno/", "Eval/")  # CelebA's authors keep the photos in Img/, and the lists in these folders beside it
_FEW = 0.01  # of the photos: where more have no row, ids that nearly agree are an error
# The parts of an id, named by what may differ in each.
_PARTS = re.compile(r"(.*[/\\])?(0*)(.*?)(\.[^.]*)?", re.DOTALL)
_DIFFERENCES = ("the folder", "leading zeros", "upper and lower case", "the suffix")
# Western European text is often valid CP949, too, but then mostly becomes Hanja.
_NOT_KOREAN = re.compile("[^\\W\\d_A-Za-zㄱ-ㅣ가-힣]|\ufffd")

# Number of the line, id, and what splits the row into id and cells: most rows are of photos that are not there.
Row = tuple[int, str, Callable[[], list[str]]]


class Attributes(NamedTuple):
    """Attribute names in the list's order, and for each photo id one byte, 0 or 1, for each of them."""

    names: tuple[str, ...]
    rows: dict[str, bytes]
    is_exclusive: bool = False  # whether exactly one holds for each photo


class _Table(NamedTuple):
    path: Path | Url
    header: int  # number of the line of the header; 0 without one
    names: list[str]  # the names of the columns after the ids
    rows: Callable[[], Iterator[Row]]  # begins anew at each call


def find_list(name: str, sources: Iterable[Path | Url]) -> Path | Url | None:
    """Return the nearest list of this name: in a folder of photos, in its parent, or up to two levels above that.

    Where the photos are reached through a link, then also near what it leads to. A folder may also be a prefix in a
    bucket. Raises StorageError where it cannot be asked.
    """
    names = [f"{below}{name}{suffix}" for below in _BELOW for suffix in (".txt", ".csv")]
    paths = (folder / listed for source in sources for folder in _near(source) for listed in names)
    return next((path for path in paths if path.is_file()), None)


def read_attributes(path: Path | Url, ids: Iterable[str]) -> Attributes:
    """Read `list_attr_celeba.txt` (how many rows, the names, the rows) or a CSV (a header, the rows).

    Values are 1 and 0, or 1 and -1. Only rows of `ids` are checked and kept: a list usually names more photos than
    there are. Raises click.UsageError naming file and line.
    """
    lines = _lines(path)
    try:
        promised = int(lines[0])
    except ValueError:
        table, promised = _csv_table(path, lines), None
    else:
        table = _Table(path, 2, "".join(lines[1:2]).split(), partial(_celeba_rows, lines, 2))
    _check_names(table)
    advice = "Values are 1 and 0, or 1 and -1: correct the table, or leave out the column or such rows."
    rows: dict[str, bytes] = {}
    bits: dict[str, bool] = {}  # of each text that a cell has had: of 8 million cells few differ
    zero = None  # where these photos have their first 0
    for line, photo_id, cells in _matched(table, ids, promised):
        for cell in sorted(set(cells) - bits.keys(), key=cells.index):
            number, name = _number(cell), table.names[cells.index(cell)]
            fault = f"{photo_id} has {cell!r} in the column {name}"
            if number not in (1, 0, -1):
                raise _malformed(path, line, fault, advice)
            if number == 0 and zero is None:
                zero = line, fault
            bits[cell] = number == 1
        rows[photo_id] = bytes([bits[cell] for cell in cells])
    if zero:  # 0 beside -1, in any row, may mean "not known"
        line, fault = zero
        for minus, _, split in table.rows():
            if -1 in map(_number, set(split()[1:])):
                fault += f", but line {minus} has -1: only one of 0 and -1 can mean 'no'"
                raise _malformed(path, line, fault, advice)
    return Attributes(tuple(table.names), rows)


def read_partitions(path: Path | Url, ids: Iterable[str]) -> dict[str, str]:
    """Read `list_eval_partition.txt` (the rows) or a CSV with a column `partition`: the split of each of `ids` in it.

    0 is train, 1 valid, 2 test. Raises click.UsageError naming file and line.
    """
    lines = _lines(path)
    fields = lines[0].split()
    if len(fields) == 2 and _split(fields[1]):
        table = _Table(path, 0, ["partition"], partial(_celeba_rows, lines, 0))
    else:
        table = _csv_table(path, lines)
    names = [name.lower() for name in table.names]
    if "partition" not in names:
        raise _malformed(path, table.header, "the header has no column partition")
    column = names.index("partition")
    splits: dict[str, str] = {}
    for line, photo_id, cells in _matched(table, ids):
        split = _split(cells[column])
        if split is None:
            fault = f"{photo_id} has {cells[column]!r} in the column partition, not 0 (train), 1 (valid) or 2 (test)"
            raise _malformed(path, line, fault)
        splits[photo_id] = split
    return splits


def _near(source: Path | Url) -> Iterator[Path | Url]:
    places = (source,) if isinstance(source, Url) else (source.absolute(), Path(os.path.realpath(source)))
    for place in places:
        yield from (place, *place.parents[: 1 + _LEVELS_ABOVE])


def _lines(path: Path | Url) -> list[str]:
    """Return the lines of a list, at least one: UTF-8, UTF-16 with a byte order mark, or Korean as Excel writes it."""
    data = path.read_bytes()
    unreadable = None
    try:
        text = data.decode("utf-16" if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp949", errors="replace")
        unreadable = _NOT_KOREAN.search(text)
    if "\0" in text:
        raise _malformed(path, 1, "this is not text", "Save the sheet of Excel or Numbers as CSV first.")
    if unreadable:
        line = len(text[: unreadable.end()].splitlines())
        raise _malformed(path, line, "this is neither UTF-8 nor Korean (CP949)", "Save the table as CSV in UTF-8.")
    return text.splitlines(keepends=True) or [""]


def _celeba_rows(lines: list[str], header: int) -> Iterator[Row]:
    for number, line in enumerate(islice(lines, header, None), header + 1):
        if cells := line.split(None, 1):
            yield number, cells[0], line.split


def _csv_table(path: Path | Url, lines: list[str]) -> _Table:
    """Return the table in a CSV with any of the usual separators, without its index columns."""
    is_quoted = lines[0].startswith('"')
    separator = max(",;\t " if is_quoted else ",;\t", key=lambda separator: _width(lines, separator))
    rows = _csv_rows(path, lines, separator)
    line, header = next(rows, (1, []))
    _, first = next(rows, (1, []))
    if is_quoted and len(first) == len(header) + 1:
        header = ["", *header]  # R's write.table has no name for its row names
    header = [name.strip() for name in header]
    if len(header) < 2:
        raise _malformed(path, line, "this is neither CelebA's list nor a header with names between , or ; or tabs")
    # The ids are in the first column, or after an index: numbers without a name, which pandas later calls Unnamed.
    ids = 0
    for column, (name, cell) in enumerate(zip(header, first, strict=False)):
        if not (cell.isdigit() and re.fullmatch(r"(Unnamed: .*)?", name)):
            ids = column
            break
    names = _trimmed(header[ids + 1 :])
    if "image_id" in names:
        raise _malformed(path, line, "image_id has to be the first column", "Delete those before it, or move it.")

    def cut() -> Iterator[Row]:
        for number, cells in islice(_csv_rows(path, lines, separator), 1, None):
            if len(cells) > ids:
                yield number, cells[ids], partial(_trimmed, cells[ids:], 1 + len(names))

    return _Table(path, line, names, cut)


def _csv_rows(path: Path | Url, lines: list[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, with the line at which each begins."""
    reader, line = csv.reader(lines, delimiter=separator, strict=True), 1
    try:
        for cells in reader:
            if any(cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise _malformed(path, line, f"the quotes cannot be understood ({error})") from None


def _width(lines: list[str], separator: str) -> int:
    """Return how many cells this separator makes of each of the first two rows: a comma may also stand in a name."""
    widths: list[int] = []
    with suppress(csv.Error):
        widths += map(len, islice(filter(any, csv.reader(lines, delimiter=separator, strict=True)), 2))
    return min(widths, default=0)


def _trimmed(cells: list[str], count: int = 0) -> list[str]:
    """Return the cells without the empty ones after the first `count`: Excel writes columns that have become empty."""
    while len(cells) > count and not cells[-1]:
        cells = cells[:-1]
    return cells


def _check_names(table: _Table) -> None:
    if not table.names or any(_number(name) in (1, 0, -1) for name in table.names):
        raise _malformed(table.path, table.header, "the attribute names are missing here")
    for position, name in enumerate(table.names):
        if not name:
            raise _malformed(table.path, table.header, f"attribute {position + 1} has no name")
        if name in table.names[:position]:
            raise _malformed(table.path, table.header, f"two attributes are called {name}")


def _matched(table: _Table, ids: Iterable[str], promised: int | None = None) -> Iterator[tuple[int, str, list[str]]]:
    """Yield line, photo id and cells of each row of `ids`; then check what is missing.

    Accents are compared in their composed form: a Mac's file names have them decomposed.
    """
    ids = list(ids)
    composed = {normalize("NFC", photo_id): photo_id for photo_id in ids if not photo_id.isascii()}
    photo_ids = composed | dict(zip(ids, ids, strict=True))
    used: dict[str, str] = {}  # id in the list by photo id
    line, count = table.header, 0
    for line, listed, split in table.rows():
        count += 1
        photo_id = photo_ids.get(listed) or (None if listed.isascii() else photo_ids.get(normalize("NFC", listed)))
        if photo_id is None:
            continue
        if photo_id in used:
            raise _malformed(table.path, line, f"{photo_id} has a row before this one")
        cells = split()[1:]
        if len(cells) != len(table.names):
            raise _malformed(table.path, line, f"{photo_id} has {len(cells)} values in place of {len(table.names)}")
        used[photo_id] = listed
        yield line, photo_id, cells
    if promised is not None and count != promised:
        raise _malformed(table.path, line, f"the first line promises {promised} rows, but {count} follow")
    missing = [photo_id for photo_id in ids if photo_id not in used]
    if len(missing) > _FEW * len(ids):
        _check_ids(table, ids, missing, set(used.values()))


def _check_ids(table: _Table, ids: list[str], missing: list[str], used: set[str]) -> None:
    """Raise click.UsageError where photos seem to have no row because their ids are written differently in the list."""
    unused: dict[str, int] = {}  # line by id
    for line, listed, _ in table.rows():
        if listed not in used:
            unused.setdefault(listed, line)
    by_stem: defaultdict[str, list[str]] = defaultdict(list)
    for photo_id in missing:
        by_stem[_parts(photo_id)[2].lower()].append(photo_id)
    pairs = [(listed, by_stem[stem]) for listed in unused if (stem := _parts(listed)[2].lower()) in by_stem]
    advice = "Ids in the list have to be those of the photos: correct them"
    if len(pairs) > _FEW * len(ids):
        listed, alike = pairs[0]
        [photo_id] = get_close_matches(listed, alike, 1, cutoff=0)  # names repeat in folders
        parts = zip(_DIFFERENCES, _parts(listed), _parts(photo_id), strict=True)
        differing = [difference for difference, part, expected in parts if part != expected]
        fault = f"the id {listed!r} and that of the photo, {photo_id!r}, differ in {' and '.join(differing)}"
        advice += ", or choose the other --ids" * (_DIFFERENCES[0] in differing)
        raise _malformed(table.path, unused[listed], fault, f"{advice}.")
    if unused and len(missing) == len(ids):
        listed, line = next(iter(unused.items()))
        fault = f"no photo has the id {listed!r} or another of this list; the first photo is {ids[0]!r}"
        raise _malformed(table.path, line, fault, f"{advice}, or choose the list of these photos.")


def _parts(photo_id: str) -> tuple[str, ...]:
    match = _PARTS.fullmatch(photo_id)
    return match.groups("") if match else ()


@cache
def _number(text: str) -> float | None:
    """Return the number in a cell: 1, 1.0, 1,0 or True are 1; None is no number."""
    text = text.strip().lower()
    try:
        return float({"true": "1", "false": "0"}.get(text, text.replace(",", ".")))
    except ValueError:
        return None


@cache
def _split(text: str) -> str | None:
    """Return the split that a cell means, by its number or its name."""
    name, number = text.strip().lower(), _number(text)
    if name in SPLITS:
        return name
    return SPLITS[int(number)] if number is not None and number in range(len(SPLITS)) else None


def _malformed(
    path: Path | Url, line: int, fault: str, advice: str = "Correct it, or download the list again."
) -> click.UsageError:
    return click.UsageError(f"{path}, line {line}: {fault}. {advice}")
