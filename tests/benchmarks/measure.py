"""What the benchmarks share: ways that are run in turn, processes, tables, and where the photos come from."""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parents[2]
# Python finds modules beside the script that it runs; what is measured lies two folders above.
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))

import training  # noqa: E402, F401  # the environment that TensorFlow reads when it is imported


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def spent(run: Callable[[], object], clock: Callable[[], float]) -> tuple[float, float]:
    """Wall time of one call, and its time by a clock of processor time."""
    before = clock()
    return seconds(run), clock() - before


def cpu_seconds_of_ended() -> float:
    """Processor time of all processes that this one has started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def in_turn(ways: dict[Any, Callable[[], Any]], rounds: int) -> dict[Any, Any]:
    """Run every way once, then all of them again, and so on; the median of the figure or of each that it returned.

    On a shared machine the speed changes within minutes: ways that are compared must share them.
    """
    results: dict[Any, list] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            results[name].append(run())
    return {name: np.median(values, axis=0) for name, values in results.items()}


def python(*arguments: object) -> float:
    """Run Python in a process of its own, quietly; the peak of its resident memory in MB.

    Linux counts from before the program of a new process is loaded, when it still has its parent's memory: a parent
    that asks for the peak must be small.

    Raises:
        ClickException: it failed, with what it wrote.
    """
    with tempfile.TemporaryFile() as written:
        process = subprocess.Popen([sys.executable, *map(str, arguments)], stdout=written, stderr=written)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            written.seek(0)
            raise click.ClickException(f"{process.args} failed:\n{written.read().decode(errors='replace')}")
    return usage.ru_maxrss * 1024 / 1e6


def photos_of(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every photo in a zip."""
    with zipfile.ZipFile(archive) as photos:
        for name in photos.namelist():
            if name.endswith(".jpg"):
                yield name, photos.read(name)


def enlarge(archive: Path, count: int, to: Path) -> None:
    """Write a stored zip of `count` photos: those of `archive`, over and over, under new names."""
    originals = [photo for _, photo in photos_of(archive)]
    with zipfile.ZipFile(to, "w", zipfile.ZIP_STORED) as enlarged:
        for number, photo in zip(range(1, count + 1), itertools.cycle(originals)):
            enlarged.writestr(f"img_align_celeba/{number:06d}.jpg", photo)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("|" + "|".join(f" {cell} " if cell != "---" else cell for cell in line) + "|" for line in lines)
