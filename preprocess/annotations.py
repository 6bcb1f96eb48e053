"""Attribute and partition lists: CelebA's text files, and CSV as spreadsheets, pandas and R write it."""

import csv
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from unicodedata import normalize

import click

from preprocess.plan import SPLITS

ATTRIBUTES, PARTITIONS = "list_attr_celeba", "list_eval_partition"  # names of the lists, .txt or .csv

_LEVELS_OUT = (
    2  # Kaggle's archive unpacks to img_align_celeba/img_align_celeba/*.jpg, with the lists next to the outer folder
)
_FEW = 0.01  # of the photos: where more have no row, ids that nearly agree are an error
_MINUS_ONE = "\0"  # in CelebA's files: when every cell is one character, a row is translated at once
# The parts of an id, named by what may differ in each.
_PARTS = re.compile(r"(.*[/\\])?(0*)(.*?)(\.[^.]*)?", re.DOTALL)
_DIFFERENCES = ("the folder", "leading zeros", "upper and lower case", "the suffix")
# Western European text is often valid CP949, too, but then mostly becomes Hanja.
_NOT_KOREAN = re.compile("[^\\W\\d_A-Za-zㄱ-ㅣ가-힣]|\ufffd")


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


@dataclass(frozen=True)
class _Table:
    """A list after its header.

    Attributes:
        line: where its header is; 0 without one.
        names: what the columns after the ids are called.
        rows: returns line, id and values of each row; `cells` splits the values, as most rows are of absent photos.
        separators: the characters that may stand between two cells.

    """

    line: int
    names: list[str]
    rows: Callable[[], Iterator[tuple[int, str, list[str]]]]
    cells: Callable[[list[str]], Sequence[str]]
    separators: str


class _Bits(dict[str, int]):
    """0 or 1 for the text of a cell; KeyError for what is neither 1 nor the number that stands for false."""

    def __init__(self, false: int):
        super().__init__()
        self._false = false

    def __missing__(self, cell: str) -> int:
        number = _number(cell)
        if number not in (1, self._false):
            raise KeyError(cell)
        self[cell] = int(number == 1)
        return self[cell]


def read_attributes(path: Path, ids: Iterable[str]) -> Attributes:
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
        table = _celeba_table(lines, 2, "".join(lines[1:2]).split())
    _check_names(path, table)
    minus_one = _line_of_minus_one(lines, table)
    bits = _Bits(-1 if minus_one else 0)
    marks = bytes.maketrans(b"\0\1" + (_MINUS_ONE + "1" if minus_one else "01").encode(), b"??\0\1")
    rows: dict[str, bytes] = {}
    for line, photo_id, cells in _rows(path, table, ids, promised):
        if isinstance(cells, str):  # translated at once: 0.4 s less on all of CelebA
            rows[photo_id] = row = cells.encode().translate(marks)
            if not row.strip(b"\0\1"):
                continue
        try:
            rows[photo_id] = bytes(map(bits.__getitem__, cells))
        except KeyError as error:
            cell = error.args[0]
            fault = f"{photo_id} has {cell.replace(_MINUS_ONE, '-1')!r} in the column {table.names[cells.index(cell)]}"
            if minus_one and _number(cell) == 0:
                fault += f", but line {minus_one} has -1: only one of 0 and -1 can mean 'no'"
            advice = "Values are 1 and 0, or 1 and -1: correct the table, or leave out the column or such rows."
            raise _malformed(path, line, fault, advice) from None
    return Attributes(tuple(table.names), rows)


def read_partitions(path: Path, ids: Iterable[str]) -> dict[str, str]:
    """Read `list_eval_partition.txt` (the rows) or a CSV with a column `partition`: the split of each of `ids` in it.

    0 is train, 1 valid, 2 test. Raises click.UsageError naming file and line.
    """
    lines = _lines(path)
    fields = lines[0].split()
    is_celeba = len(fields) == 2 and _split_of(fields[1])
    table = _celeba_table(lines, 0, ["partition"]) if is_celeba else _csv_table(path, lines)
    try:
        column = [name.lower() for name in table.names].index("partition")
    except ValueError:
        raise _malformed(path, table.line, "the header has no column partition") from None
    splits: dict[str, str] = {}
    for line, photo_id, cells in _rows(path, table, ids):
        split = _split_of(cells[column])
        if split is None:
            fault = f"{photo_id} has {cells[column]!r} in the column partition, not 0 (train), 1 (valid) or 2 (test)"
            raise _malformed(path, line, fault)
        splits[photo_id] = split
    return splits


def _lines(path: Path) -> list[str]:
    """Return the lines of a list, at least one: UTF-8, UTF-16 with a byte order mark, or Korean as Excel writes it."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-16" if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig")
        unreadable = None
    except UnicodeDecodeError:
        text = data.decode("cp949", errors="replace")
        unreadable = _NOT_KOREAN.search(text)
    if "\0" in text:
        raise _malformed(path, 1, "this is not text", "Save the sheet of Excel or Numbers as CSV first.")
    if unreadable:
        line = len(text[: unreadable.end()].splitlines())
        raise _malformed(path, line, "this is neither UTF-8 nor Korean (CP949)", "Save the table as CSV in UTF-8.")
    return text.splitlines(keepends=True) or [""]


def _celeba_table(lines: list[str], header: int, names: list[str]) -> _Table:
    """Return the rows after this line of one of CelebA's text files: values between blanks."""

    def rows() -> Iterator[tuple[int, str, list[str]]]:
        for number, line in enumerate(islice(lines, header, None), header + 1):
            if row := line.split(None, 1):
                yield number, row[0], row

    def cells(row: list[str]) -> Sequence[str]:
        values = row[1].replace("-1", _MINUS_ONE).split() if len(row) > 1 else []
        characters = "".join(values)
        return characters if len(characters) == len(values) else values

    return _Table(header, names, rows, cells, r"\s")


def _csv_table(path: Path, lines: list[str]) -> _Table:
    """Return the rows of a CSV with any of the usual separators, without its index columns."""

    def width(separator: str) -> int:
        widths = []
        with suppress(csv.Error):  # of two rows, as a comma may also stand in a name, or in 1,0
            widths += map(len, islice(filter(any, csv.reader(lines, delimiter=separator, strict=True)), 2))
        return min(widths, default=0)

    is_quoted = lines[0].startswith('"')
    separator = max(",;\t " if is_quoted else ",;\t", key=width)
    two = islice(_csv_rows(path, lines, separator), 2)
    (line, header), (_, values) = (*two, (1, []), (1, []))[:2]
    if is_quoted and len(values) == len(header) + 1:
        header = ["", *header]  # R's write.table has no name for its row names
    header = [name.strip() for name in header]
    if len(header) < 2:
        raise _malformed(path, line, "this is neither CelebA's list nor a header with names between , or ; or tabs")
    # The ids are in the first column, or after an index: numbers without a name, which pandas later calls Unnamed.
    indexes = (
        cell.isdigit() and re.fullmatch(r"(Unnamed: .*)?", name) for name, cell in zip(header, values, strict=False)
    )
    at = next((number for number, is_index in enumerate(indexes) if not is_index), 0)
    names = header[at + 1 :]
    while names and not names[-1]:
        names.pop()  # Excel writes columns that have become empty

    end = at + 1 + len(names)

    def cells(row: list[str]) -> list[str]:
        return row[at + 1 : end] if len(row) <= len(header) and not any(row[end:]) else row[at + 1 :]

    if "image_id" in names:
        raise _malformed(path, line, "image_id has to be the first column", "Delete those before it, or move it.")

    def rows() -> Iterator[tuple[int, str, list[str]]]:
        for number, row in islice(_csv_rows(path, lines, separator), 1, None):
            if len(row) > at:
                yield number, row[at], row

    return _Table(line, names, rows, cells, separator)


def _csv_rows(path: Path, lines: list[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, with the line at which each begins."""
    reader, line = csv.reader(lines, delimiter=separator, strict=True), 1
    try:
        for row in reader:
            if any(row):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise _malformed(path, line, f"the quotes cannot be understood ({error})") from None


def _check_names(path: Path, table: _Table) -> None:
    if not table.names or any(_number(name) in (1, 0, -1) for name in table.names):
        raise _malformed(path, table.line, "the attribute names are missing here")
    for position, name in enumerate(table.names):
        if not name:
            raise _malformed(path, table.line, f"attribute {position + 1} has no name")
        if name in table.names[:position]:
            raise _malformed(path, table.line, f"two attributes are called {name}")


def _line_of_minus_one(lines: list[str], table: _Table) -> int | None:
    """Return the first line in which -1 is a cell, also of a photo that is not there."""
    edge = f'[{table.separators}"]'
    cell = re.compile(rf"{edge} *-1(?:[.,]0+)? *(?:{edge}|$)")
    rows = islice(enumerate(lines, 1), table.line, None)
    return next((number for number, line in rows if "-1" in line and cell.search(line)), None)


def _rows(
    path: Path, table: _Table, ids: Iterable[str], promised: int | None = None
) -> Iterator[tuple[int, str, Sequence[str]]]:
    """Yield line, id and cells of the row of each of `ids`; then check which rows are missing."""
    ids = list(ids)
    wanted = {normalize("NFC", photo_id): photo_id for photo_id in ids if not photo_id.isascii()}
    wanted |= zip(ids, ids, strict=True)
    seen: set[str] = set()
    line, count = table.line, 0
    for line, listed, row in table.rows():
        count += 1
        photo_id = wanted.get(listed) or (None if listed.isascii() else wanted.get(normalize("NFC", listed)))
        if photo_id is None:
            continue
        if photo_id in seen:
            raise _malformed(path, line, f"{photo_id} has a row before this one")
        seen.add(photo_id)
        cells = table.cells(row)
        if len(cells) != len(table.names):
            raise _malformed(path, line, f"{photo_id} has {len(cells)} values in place of {len(table.names)}")
        yield line, photo_id, cells
    if promised is not None and count != promised:
        raise _malformed(path, line, f"the first line promises {promised} rows, but {count} follow")
    if count and len(ids) - len(seen) > _FEW * len(ids):
        _check_ids(path, table, ids, seen)


def _check_ids(path: Path, table: _Table, ids: list[str], seen: set[str]) -> None:
    """Raise click.UsageError where photos seem to have no row because their ids are written differently in the list."""
    missing = {_name(photo_id): photo_id for photo_id in ids if photo_id not in seen}
    others = [(line, listed) for line, listed, _ in table.rows() if listed not in seen]
    pairs = [(*other, missing[name]) for other in others if (name := _name(other[1])) in missing]
    advice = "Ids in the list have to be those of the photos: correct them"
    if len(pairs) > _FEW * len(ids):
        line, listed, photo_id = pairs[0]
        parts = zip(_DIFFERENCES, _parts(listed), _parts(photo_id), strict=True)
        differing = [difference for difference, part, expected in parts if part != expected]
        fault = f"the id {listed!r} and that of the photo, {photo_id!r}, differ in {' and '.join(differing)}"
        advice += ", or choose the other --ids" * (_DIFFERENCES[0] in differing)
        raise _malformed(path, line, fault, f"{advice}.")
    if not seen:
        line, listed = others[0]
        fault = f"no photo has the id {listed!r} or another of this list; the first photo is {ids[0]!r}"
        raise _malformed(path, line, fault, f"{advice}, or choose the list of these photos.")


def _parts(photo_id: str) -> tuple[str, ...]:
    return _PARTS.fullmatch(photo_id).groups("")


def _name(photo_id: str) -> str:
    """Return what stays of an id when it is written differently."""
    return _parts(photo_id)[2].lower()


@cache
def _number(cell: str) -> float | None:
    """Return what a cell holds: 1, 1.0, 1,0 or True are 1; None is no number."""
    text = cell.strip().lower()
    try:
        return float({"true": "1", "false": "0", _MINUS_ONE: "-1"}.get(text, text.replace(",", ".")))
    except ValueError:
        return None


@cache
def _split_of(cell: str) -> str | None:
    """Return the split that a cell means, by its number or its name."""
    name, number = cell.strip().lower(), _number(cell)
    return name if name in SPLITS else SPLITS[int(number)] if number in range(len(SPLITS)) else None


def _malformed(
    path: Path, line: int, fault: str, advice: str = "Correct it, or download the list again."
) -> click.UsageError:
    return click.UsageError(f"{path}, line {line}: {fault}. {advice}")
