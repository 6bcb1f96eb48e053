"""What a program does to the disk, in its order; and a kill between any two of it.

A power cut keeps what was synced and may lose any of the rest: the bytes of a file from before its own sync, and a name
that was given or taken since its folder was last synced. So the order of syncs and renames is what can be tested here.
"""

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest


class Killed(BaseException):
    """What a kill is to the program: nothing after it happens."""


class Step(NamedTuple):
    """One thing that happened: "sync", "rename" or "remove", to which path, and for a rename from which."""

    kind: str
    path: Path
    source: Path | None = None


class Disk:
    """Notes every sync, rename and removal; `left` of them happen, then it kills."""

    def __init__(self, left: int = 1_000):
        self.left = left
        self.steps: list[Step] = []

    def renamed(self, path: Path) -> int:
        """Which step gave this name, the last one that did."""
        return max(at for at, step in enumerate(self.steps) if (step.kind, step.path) == ("rename", path))

    def removed(self, path: Path) -> int:
        """Which step took this name away."""
        return max(at for at, step in enumerate(self.steps) if (step.kind, step.path) == ("remove", path))

    def synced(self, path: Path, after: int = -1) -> int:
        """Which is the first step after `after` that synced this file or folder; past the end where none did."""
        steps = [at for at, step in enumerate(self.steps) if at > after and (step.kind, step.path) == ("sync", path)]
        return steps[0] if steps else len(self.steps)

    def assert_lasting(self, path: Path) -> None:
        """See that this name is there after a power cut, with all of its bytes: nothing may be left to be synced."""
        given = self.renamed(path)
        source = self.steps[given].source
        assert self.synced(source) < given, f"{path} had its name before its bytes were safe: {self.steps}"
        assert self.synced(path.parent, given) < len(self.steps), f"the name of {path} is not safe: {self.steps}"

    def _happens(self, step: Step) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed
        self.steps.append(step)

    @contextmanager
    def watched(self) -> Iterator["Disk"]:
        """Put this disk under the program."""
        sync, rename, unlink, rmdir = os.fsync, Path.replace, Path.unlink, Path.rmdir

        def note_sync(descriptor):
            self._happens(Step("sync", Path(f"/proc/self/fd/{descriptor}").readlink()))
            sync(descriptor)

        def note_rename(source, target):
            self._happens(Step("rename", Path(target), Path(source)))
            return rename(source, target)

        def note_unlink(path, missing_ok=False):
            if path.exists() or not missing_ok:
                self._happens(Step("remove", Path(path)))
            unlink(path, missing_ok)

        def note_rmdir(path):
            self._happens(Step("remove", Path(path)))
            rmdir(path)

        def note_rmtree(folder):
            """Remove a folder, a file to a step; in no order that could be relied on."""
            for path in sorted(Path(folder).iterdir()):
                note_rmtree(path) if path.is_dir() else note_unlink(path)
            note_rmdir(Path(folder))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", note_sync)
            patch.setattr(Path, "replace", note_rename)
            patch.setattr(Path, "unlink", note_unlink)
            patch.setattr(Path, "rmdir", note_rmdir)
            patch.setattr(shutil, "rmtree", note_rmtree)
            yield self


@contextmanager
def full_disk() -> Iterator[None]:
    """Let writes fail past 8 KiB of a file, as `ulimit -f` does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def kill_at_every_step(act, limit: int = 100) -> Iterator[int]:
    """Call `act(at)` under a disk that kills after 0, 1, 2, … steps, until it ends unharmed; yield `at` after each."""
    for at in range(limit):
        try:
            with Disk(at).watched():
                act(at)
        except Killed:
            yield at
        else:
            yield at
            return
    raise AssertionError(f"it took more than {limit} steps")
