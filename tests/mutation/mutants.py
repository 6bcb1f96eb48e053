"""Change the code one place at a time and see whether the tests notice: make mutants.

Cosmic Ray makes the changes and keeps what came of each (.mutants/results.sqlite; its own cr-report and cr-html read
it). Each is tried by the tests that execute its lines, as `make coverage` saw them, quickest first, in a process
forked from one that has TensorFlow imported: that takes 2 s where a new process takes 7. Killed at any moment, the same
command continues; a module that has changed since is begun anew.
"""

import ast
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import import_module
from itertools import chain, zip_longest
from json import loads
from multiprocessing import get_context
from pathlib import Path
from random import Random

import click
import tomllib
from cosmic_ray.mutating import mutate_code
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult
from coverage import CoverageData
from tqdm import tqdm

from tests.mutation.operators import OPERATORS, changes

ROOT = Path(__file__).resolve().parents[2]
MAX_KEPT = ROOT / ".mutants"
RESULTS = MAX_KEPT / "results.sqlite"

_AT_IMPORT = ""  # coverage's context of what no test has called

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutants"]
# Changes that no test can notice, since nobody could: module -> {"line -> changed line": why}.
EQUIVALENT = tomllib.loads((ROOT / "tests" / "mutation" / "equivalent.toml").read_text())


@dataclass(frozen=True)
class Job:
    """One change and the tests that should notice it, as node ids; `seconds` is what they take unchanged."""

    id: str
    change: MutationSpec
    tests: tuple[str, ...]
    seconds: float


@click.command()
@click.argument("modules", nargs=-1)
@click.option("--most", type=click.IntRange(min=1), help="Changes a module, drawn at random.  [default: all]")
@click.option(
    "--seconds", default=SETTINGS["seconds"], show_default=True, help="What the tests of one change may take."
)
@click.option("--again", is_flag=True, help="Try those once more that no test noticed.")
@click.option("--table", is_flag=True, help="Only print what is known.")
def main(modules: tuple[str, ...], most: int | None, seconds: float, again: bool, table: bool) -> None:
    """Try changes to MODULES, such as training/models/losses.py or preprocess; without them, to all."""
    MAX_KEPT.mkdir(exist_ok=True)
    paths = [path for path in _modules() if not modules or any(str(path).startswith(name) for name in modules)]
    with use_db(str(RESULTS), WorkDB.Mode.create) as results:
        if not table:
            done = {job_id for job_id, result in results.results if result.is_killed or not again}
            jobs = [job for job in _interleaved([_jobs(path, most, seconds) for path in paths]) if job.id not in done]
            known = {item.job_id for item in results.work_items}
            results.add_work_items(WorkItem.single(job.id, job.change) for job in jobs if job.id not in known)
            _try_all(jobs, results)
        _tell(results, paths)


def _modules() -> list[Path]:
    return sorted(path.relative_to(ROOT) for top in SETTINGS["packages"] for path in (ROOT / top).rglob("*.py"))


def _jobs(path: Path, most: int | None, seconds: float) -> list[Job]:
    source = (ROOT / path).read_text()
    version = _version(path)
    specs = [MutationSpec(path, name, occurrence, *position) for name, occurrence, position in changes(source)]
    Random(str(path)).shuffle(specs)
    return [
        Job(f"{path}@{version}:{spec.operator_name}:{spec.occurrence}", spec, *_tests(path, spec, seconds))
        for spec in specs[:most]
    ]


def _version(path: Path) -> str:
    return sha256((ROOT / path).read_bytes()).hexdigest()[:8]


def _interleaved(by_module: list[list[Job]]) -> list[Job]:
    """Take turns, so that a run that is stopped has seen as much of each module."""
    return [job for job in chain.from_iterable(zip_longest(*by_module)) if job is not None]


# Which tests concern a change.


def _tests(path: Path, spec: MutationSpec, seconds: float) -> tuple[tuple[str, ...], float]:
    """Return the tests that execute these lines, quickest first, within `seconds`, and what they take.

    A line that runs when the module is imported concerns all that execute anything of it, or import it.
    """
    by_line = _contexts(path)
    lines = range(spec.start_pos[0], spec.end_pos[0] + 1)
    concerned = set().union(*(by_line.get(line, {_AT_IMPORT}) for line in lines))
    mirrored = f"tests/{path.parent}/test_{path.stem}.py"
    importing = {test for line, tests in by_line.items() if _AT_IMPORT in tests for test in tests}
    durations = _durations()
    if _AT_IMPORT in concerned:
        concerned = set().union(*by_line.values(), _tests_importing(path))
        concerned.discard(_AT_IMPORT)
    chosen, total = [], 0.0
    for test in sorted(concerned, key=lambda test: (not test.startswith(mirrored), test in importing, durations[test])):
        if chosen and total + durations[test] > seconds:
            continue
        chosen.append(test)
        total += durations[test]
    return tuple(chosen), total


def _tests_importing(path: Path) -> set[str]:
    """Every test of a file that imports this module, or its whole package."""
    module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    return {test for test in _collected() if _imports(test.partition("::")[0]) & {module, path.parts[0]}}


@cache
def _imports(test_file: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse((ROOT / test_file).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
            if "." in node.module:
                names.add(node.module)
    return names


@cache
def _durations() -> dict[str, float]:
    return defaultdict(lambda: 1.0, loads((MAX_KEPT / "seconds.json").read_text()))


@cache
def _contexts(path: Path) -> dict[int, set[str]]:
    """Which tests execute each line, of those that are still there."""
    found = _data().contexts_by_lineno(str(ROOT / path))
    known = _collected() | {_AT_IMPORT}
    return {line: {_test(context) for context in contexts} & known for line, contexts in found.items()}


@cache
def _collected() -> set[str]:
    """Every test that there is: of one that is not, pytest says so with a status that would count as noticed."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-o", "addopts=--import-mode=importlib"]
    listed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    return {line for line in listed.splitlines() if line.startswith("tests/")}


@cache
def _data() -> CoverageData:
    data = CoverageData(str(MAX_KEPT / "coverage"))
    data.read()
    return data


def _test(context: str) -> str:
    """Return the node id in a context: "tests/… (call)" of a process that a test started, or "…|tests/…" of its own."""
    name = context.rpartition("|")[2] or context.partition("|")[0]
    return name.rpartition(" (")[0] if name.endswith(("(call)", "(setup)", "(teardown)")) else name


# Trying them.


def _try_all(jobs: list[Job], results: WorkDB) -> None:
    workers = len(os.sched_getaffinity(0))
    with (
        tempfile.TemporaryDirectory() as trees,
        ProcessPoolExecutor(workers, get_context("spawn"), _begin, (trees,)) as pool,
        tqdm(total=len(jobs), unit=" changes", smoothing=0.02) as bar,
    ):
        survived = 0
        try:
            for future in as_completed([pool.submit(_try, job) for job in jobs]):
                job, result = future.result()
                results.set_result(job.id, result)
                survived += not result.is_killed
                bar.set_postfix(survived=survived, refresh=False)
                bar.update()
        finally:
            pool.shutdown(cancel_futures=True)  # or what is queued would be tried after Ctrl-C, for nobody


def _begin(trees: str) -> None:
    """Give this worker a copy of the tree to change, and import what every test needs."""
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ).stdout.split("\n")
    tree = Path(tempfile.mkdtemp(dir=trees))
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
    os.chdir(tree)
    # A changed file of the same size and second as the one before would be taken from a cache.
    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "TF_ENABLE_ONEDNN_OPTS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    sys.path[0] = str(tree)
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]  # each fork imports its own, from the tree
    for name in SETTINGS["preloaded"]:
        import_module(name)


def _try(job: Job) -> tuple[Job, WorkResult]:
    path = Path(job.change.module_path)
    source = path.read_text()
    try:
        changed = mutate_code(source, OPERATORS[job.change.operator_name](), job.change.occurrence)
    except AttributeError:  # of Cosmic Ray's, at an `except` with several exceptions
        return job, WorkResult(WorkerOutcome.SKIPPED)
    path.write_text(changed)
    try:
        status = _pytest(job) if job.tests else 0
    finally:
        path.write_text(source)
    return job, WorkResult(
        WorkerOutcome.NORMAL,
        output=str(status),
        test_outcome=TestOutcome.SURVIVED if status == 0 else TestOutcome.KILLED,
        diff=_difference(source, changed),
    )


def _pytest(job: Job) -> int:
    """Run the tests in a fork; return pytest's exit status, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        import pytest

        status = 3
        try:
            status = int(pytest.main(["-x", "-p", "no:cacheprovider", "-p", "no:xdist", *job.tests]))
        finally:
            os._exit(status)
    deadline = time.monotonic() + SETTINGS["hang_seconds"] + SETTINGS["hang_factor"] * job.seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            break
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # what its tests left running
    return os.waitstatus_to_exitcode(status)


def _difference(before: str, after: str) -> str:
    """Return the line and what became of it; a change that moves lines shows the first that differs."""
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    return next(f"{n}: {old.strip()} -> {new.strip()}" for n, (old, new) in enumerate(pairs, 1) if old != new)


# What came of it.


def _tell(results: WorkDB, paths: list[Path]) -> None:
    tried, noticed, equivalent = Counter[Path](), Counter[Path](), Counter[Path]()
    lived = defaultdict(list)
    versions = {path: f"{path}@{_version(path)}:" for path in paths}
    for item, result in results.completed_work_items:
        path = Path(item.mutations[0].module_path)
        if not item.job_id.startswith(versions.get(path, "\0")) or result.worker_outcome != WorkerOutcome.NORMAL:
            continue
        tried[path] += 1
        if result.is_killed:
            noticed[path] += 1
        elif result.diff.partition(": ")[2] in EQUIVALENT.get(str(path), {}):
            equivalent[path] += 1
        else:
            lived[path].append(result.diff)
    for path in paths:
        for difference in sorted(lived[path], key=lambda diff: int(diff.partition(":")[0])):
            click.echo(f"{path}:{difference}")
    click.echo(f"{'module':<40} {'changes':>8} {'noticed':>8} {'equivalent':>11} {'percent':>8}")
    for path in filter(tried.get, paths):
        percent = 100 * noticed[path] / max(tried[path] - equivalent[path], 1)
        click.echo(f"{path!s:<40} {tried[path]:8} {noticed[path]:8} {equivalent[path]:11} {percent:8.1f}")
    changes, seen, same = (sum(counts.values()) for counts in (tried, noticed, equivalent))
    click.echo(f"{'all':<40} {changes:8} {seen:8} {same:11} {100 * seen / max(changes - same, 1):8.1f}")


if __name__ == "__main__":
    main()
