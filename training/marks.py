"""Count what a person marked on the sheets of training.sheets: python -m training.marks."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
from click import UsageError

from system.command import LocalPath
from system.files import parsed_json, write_json
from training.command import Command, startup_messages_hidden
from training.evaluate import aligned
from training.options import check_picture, check_writable
from training.sheets import Key, Source, images_of_run

CONFIDENCE = 0.95  # of the bound where none or all are marked
FRAME = 2  # pixels, of a marked face
WHITE, GREY, BLACK = 255, 128, 0


@dataclass(frozen=True)
class Marks:
    """What one person wrote down."""

    sheets: str  # `Key.digest` of the sheets
    judge: str
    broken: tuple[int, ...]  # numbers on the sheets, ascending
    doubtful: tuple[int, ...]  # others, which the judge could not decide on, ascending


@click.command(cls=Command)
@click.option(
    "--key",
    "key_path",
    type=LocalPath(path_type=Path, dir_okay=False),
    required=True,
    help="The key of training.sheets, or the JSON of this command, which holds key and marks.",
)
@click.option(
    "--marks",
    "marks_path",
    type=LocalPath(path_type=Path, dir_okay=False),
    help="The marks.txt that was filled in.  [default: the marks in --key]",
)
@click.option(
    "--out",
    type=LocalPath(path_type=Path, dir_okay=False),
    help="The JSON of the marks, the key and the shares. It holds no photo.  [default: marks.json beside --key, where "
    "that does not hold the marks of somebody else]",
)
@click.option("--run", "folder", type=LocalPath(path_type=Path), help="The run whose faces --picture shows.")
@click.option(
    "--picture",
    type=LocalPath(path_type=Path, dir_okay=False),
    help="Draw the faces of --run again, the broken ones in a white frame, the doubtful ones in a grey one.",
)
def main(key_path: Path, marks_path: Path | None, out: Path | None, folder: Path | None, picture: Path | None) -> None:
    """Count what a person marked on sheets: the share of broken faces of each generator, and of photos.

    The share of photos shows how strict the judge is: a generator cannot be expected to have less.
    """
    if (folder is None) != (picture is None):
        raise UsageError("--picture shows the faces of --run: say both.")
    if picture:
        check_picture(picture, "--picture")
    key, marks = load(key_path)
    if marks_path:
        marks = parse(marks_path)
        if out is None:
            out = key_path.with_name("marks.json")
            check_replaceable(out, marks)
    if marks is None:
        raise UsageError(f"{key_path} has no marks in it: give --marks the file in which they were written down.")
    check(marks, key, marks_path or key_path)
    if out:
        check_writable(out)

    framed = None
    if folder:
        with startup_messages_hidden():
            framed = framed_faces(folder, key, marks)

    shares = {source.name: count(source, marks) for source in key.sources}
    print(table(shares, marks))
    if out:
        write_json(out, {**asdict(key), "marks": asdict(marks), "shares": shares})
        print(f"{out}: the same, with the key, as JSON.")
    if picture and framed is not None:
        from training import draw

        draw.write_png(picture, framed)
        print(f"{picture}: the faces of {folder}, the broken ones in white frames, the doubtful ones in grey ones.")


def load(path: Path) -> tuple[Key, Marks | None]:
    """Return a key, and the marks beside it where there are any; raise UsageError where it cannot be read."""
    try:
        saved = parsed_json(path.read_bytes())
        sources = [
            Source(str(source["name"]), dict(source["origin"]), tuple(map(int, source["numbers"])))
            for source in saved["sources"]
        ]
        marks = None
        if found := saved.get("marks"):
            broken, doubtful = (tuple(map(int, found[name])) for name in ("broken", "doubtful"))
            marks = Marks(str(found["sheets"]), str(found["judge"]), broken, doubtful)
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise UsageError(f"{path} cannot be read ({error!r}). Give --key what training.sheets wrote.") from None
    return Key(tuple(sources)), marks


def parse(path: Path) -> Marks:
    """Read a file of lines "name: value"; those of numbers may be given again, such as once for each sheet."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read ({error}). Give --marks the marks.txt of training.sheets, saved as UTF-8."
        ) from None
    values: dict[str, list[str]] = {name: [] for name in ("sheets", "judge", "broken", "doubtful")}
    for number, line in enumerate(lines, 1):
        name, _, value = line.partition(":")
        if not line.strip() or line.startswith("#"):
            continue
        if name.strip() not in values:
            raise UsageError(f"{path}, line {number}: {line!r} begins with none of {', '.join(values)} and a colon.")
        values[name.strip()].append(value.strip())
    sheets, judge = (" ".join(values[name]).strip() for name in ("sheets", "judge"))
    if not judge:
        raise UsageError(f"{path} does not say who judged: write it after judge:, when all sheets have been looked at.")
    return Marks(sheets, judge, _numbers(path, values["broken"]), _numbers(path, values["doubtful"]))


def _numbers(path: Path, values: Iterable[str]) -> tuple[int, ...]:
    words = " ".join(values).replace(",", " ").split()
    if wrong := [word for word in words if not re.fullmatch(r"\d{1,9}", word)]:
        raise UsageError(f"{path}: {wrong[0][:20]!r} is not a number. Write numbers separated by spaces.")
    return tuple(sorted(set(map(int, words))))


def check(marks: Marks, key: Key, path: Path) -> None:
    """Raise UsageError where marks are of other sheets, name what is not on them, or say two things of one image."""
    if marks.sheets != key.digest:
        raise UsageError(f"{path} is of the sheets {marks.sheets or 'nobody named'}, and the key is of {key.digest}.")
    on_sheets = {number for source in key.sources for number in source.numbers}
    if unknown := sorted({*marks.broken, *marks.doubtful} - on_sheets):
        raise UsageError(f"{path}: there is no {unknown[0]} on the sheets, which end with {max(on_sheets)}.")
    if both := sorted({*marks.broken} & {*marks.doubtful}):
        raise UsageError(f"{path}: {both[0]} is both broken and doubtful. Decide on one.")


def check_replaceable(out: Path, marks: Marks) -> None:
    """Raise UsageError where a file holds anything but earlier marks of the same judge and sheets."""
    try:
        before = load(out)[1]
    except UsageError:  # nothing, or something else
        before = None
    if out.exists() and (before is None or (before.sheets, before.judge) != (marks.sheets, marks.judge)):
        mine = f"marks of {marks.judge} on the sheets {marks.sheets}"
        raise UsageError(f"{out} holds something else than {mine}: name another --out.")


def count(source: Source, marks: Marks) -> dict[str, float]:
    """Return how many of a source's images there are, how many are marked, and what share with which error."""
    own = set(source.numbers)
    figures: dict[str, float] = {"count": len(own)}
    for kind, numbers in (("broken", marks.broken), ("doubtful", marks.doubtful)):
        marked = len(own & set(numbers))
        figures |= {kind: marked, **{f"{kind}_{name}": value for name, value in share(marked, len(own)).items()}}
    return figures


def share(marked: int, count: int) -> dict[str, float]:
    """Return a share, and its standard error or, where that would be 0, how large or small the true one may be.

    Of 0 in n that is 1 - 0.05^(1/n), nearly 3/n (Hanley and Lippman-Hand 1983, "If nothing goes wrong, is everything
    all right?").
    """
    value = marked / count
    bound = (1 - CONFIDENCE) ** (1 / count)
    if marked == 0:
        return {"share": value, "at_most": 1 - bound}
    if marked == count:
        return {"share": value, "at_least": bound}
    return {"share": value, "error": math.sqrt(value * (1 - value) / count)}


def table(shares: dict[str, dict[str, float]], marks: Marks) -> str:
    """Return an aligned table: a source per row."""
    rows = [["", "images", "broken", "doubtful"]]
    for name, figures in shares.items():
        rows.append([name, f"{figures['count']}", *(_cell(figures, kind) for kind in ("broken", "doubtful"))])
    title = f"Sheets {marks.sheets}, marked by {marks.judge}; ± is the standard error, a bound holds with 95%."
    return "\n".join([title, *aligned(rows)])


def _cell(figures: dict[str, float], kind: str) -> str:
    text = f"{figures[f'{kind}_share']:.1%}"
    if f"{kind}_error" in figures:
        return f"{text} ± {figures[f'{kind}_error']:.1%}"
    bound = "at_most" if f"{kind}_at_most" in figures else "at_least"
    return f"{text}, {bound.replace('_', ' ')} {figures[f'{kind}_{bound}']:.1%}"


def framed_faces(folder: Path, key: Key, marks: Marks) -> np.ndarray:
    """Draw a run's faces again, in the grid of explore.sample, with frames: uint8 [height, width, channels].

    Raises UsageError where they are not on the sheets.
    """
    from training import config as configs
    from training import draw

    digest = draw.digest(configs.load_with_generator(folder)[1])
    source = next((source for source in key.sources if source.origin.get("generator") == digest), None)
    if source is None:
        raise UsageError(
            f"{folder} has the generator {digest}, and no faces of it are on the sheets, but of "
            f"{', '.join(source.name for source in key.sources)}."
        )
    faces = images_of_run(folder, len(source.numbers), source.origin["seed"]).pixels
    shades = [
        WHITE if number in marks.broken else GREY if number in marks.doubtful else BLACK for number in source.numbers
    ]
    return draw.tile(np.stack([in_frame(face, shade) for face, shade in zip(faces, shades, strict=True)]))


def in_frame(face: np.ndarray, shade: int) -> np.ndarray:
    """Return a face in a frame of this shade, with black within and around it."""
    for value in (BLACK, shade, BLACK):
        face = np.pad(face, ((FRAME, FRAME), (FRAME, FRAME), (0, 0)), constant_values=value)
    return face


if __name__ == "__main__":
    main()
