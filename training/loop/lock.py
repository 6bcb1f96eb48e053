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
    """Lock a run's folder until the block ends; a new folder in which nothing was written is removed.

    Args:
        out: the folder; None for the next number under `runs`.
        runs: where numbered folders lie.
        preset: what follows the number in their names.

    Raises:
        ClickException: another run holds the folder.
        OSError: it cannot be made or written.
    """
    folder, is_new = (out, None) if out else (_make_next(runs, preset), True)
    with locked(folder, is_new):
        yield folder


def _make_next(runs: Path, preset: str) -> Path:
    while True:
        folder = next_folder(runs, preset)
        with suppress(FileExistsError):  # another run took this number
            folder.mkdir(parents=True)
            return folder
