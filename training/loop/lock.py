"""One run at a time in a run's folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from system.lock import locked


def next_folder(runs: Path, preset: str) -> Path:
    """Return the next numbered folder: runs/00001-classic where there is none."""
    numbers = [int(match[1]) for entry in runs.glob("*") if (match := re.match(r"(\d{5})-", entry.name))]
    return runs / f"{max(numbers, default=0) + 1:05d}-{preset}"


@contextmanager
def locked_run_folder(out: Path | None, runs: Path, preset: str) -> Iterator[Path]:
    """Lock `out`, or a new `next_folder`, until the block ends; a new one in which nothing was written is removed.

    Raises ClickException where another run holds the folder.
    """
    folder = out
    while folder is None:
        numbered = next_folder(runs, preset)
        with suppress(FileExistsError):  # another run took this number
            numbered.mkdir(parents=True)
            folder = numbered
    with locked(folder, None if out else True):
        yield folder
