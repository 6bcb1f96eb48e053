"""Cores and memory that this process may use, by the limits of its container."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from math import ceil
from pathlib import Path, PurePosixPath

# A limit, what counts towards it, and in memory.stat the pages of files that are not in use: version 2, then 1.
_MEMORY = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.high", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def is_single_threaded() -> bool:
    """Return whether this process has one thread, those counted that libraries have started and Python does not know.

    False where the system does not say.
    """
    return re.search(r"^Threads:\s*1$", _read(Path("/proc/self/status")), re.MULTILINE) is not None


def usable_cores(root: Path = Path("/")) -> int:
    """Return how many cores this process may use, by its affinity and the CPU quotas of its cgroups."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([cores, *(quota for folder in _cgroups(root) for quota in _quotas(folder))])


def usable_memory(free: int, root: Path = Path("/")) -> int:
    """Return how many of the `free` bytes of the machine this process may take, by the limits of its cgroups."""
    return max(0, min([free, *(left for folder in _cgroups(root) for left in _memory_left(folder))]))


def _quotas(folder: Path) -> Iterator[int]:
    """Yield a cgroup's CPU quota in whole cores, where it has one: version 2 has one file for it, version 1 two."""
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        match " ".join(_read(folder / name) for name in names).split():
            case [quota, period] if quota.isdigit() and period.isdigit():  # "max" or -1 is none
                yield max(1, ceil(int(quota) / int(period)))


def _memory_left(folder: Path) -> Iterator[int]:
    """Yield what is left of each limit of a cgroup's memory. Pages of files that nobody uses can be taken any time."""
    stat = dict(line.split() for line in _read(folder / "memory.stat").splitlines())
    for limit, used, unused_pages in _MEMORY:
        match [_read(folder / name).strip() for name in (limit, used)]:
            case [limit, used] if limit.isdigit() and used.isdigit():  # "max" is none
                yield int(limit) - max(0, int(used) - int(stat.get(unused_pages, 0)))


def _cgroups(root: Path) -> Iterator[Path]:
    """Yield the folders of the cgroups that this process is in, and of all above them, whose limits hold for it too."""
    # By controller: the part of its tree that is mounted, and where. Version 2 has one tree, "".
    mounts: dict[str, list[str]] = {}
    for line in _read(root / "proc/self/mountinfo").splitlines():
        mount, _, kind = line.partition(" - ")
        if kind.startswith("cgroup"):
            controllers = [""] if kind.startswith("cgroup2 ") else kind.split()[-1].split(",")
            mounts = dict.fromkeys(controllers, mount.split()[3:5]) | mounts
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if mounted := mounts.get(names.split(",")[0]):
            part, place = mounted
            group = PurePosixPath(path)
            below = group.relative_to(part) if group.is_relative_to(part) else PurePosixPath()
            yield from (root / place.lstrip("/") / folder for folder in (below, *below.parents))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
