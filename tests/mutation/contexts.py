"""A pytest plugin for `make coverage`: which test executes which line, and how long each test takes.

Coverage starts in every process by itself (COVERAGE_PROCESS_START). In the test's own process the test becomes its
dynamic context here; the processes that a test starts take it from PYTEST_CURRENT_TEST, as pyproject.toml says.
"""

import json
import os
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import coverage
import pytest

_NOT_MEASURED = ("test_a_disk_without_room", "test_ctrl_c_while_the_command_starts")

SECONDS = Path(".mutants/seconds.json")

_seconds = Counter[str]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    measured = coverage.Coverage.current()
    if measured:
        measured.switch_context(item.nodeid)
    with _autograph_left_alone():
        yield
    if measured:
        measured.switch_context("")


def _autograph_left_alone():
    """What tf.data traces runs as it is written: AutoGraph would run a copy of it, of which nothing is seen here."""
    if "tensorflow" not in sys.modules:
        return nullcontext()
    from tensorflow.python.autograph.core import ag_ctx

    return ag_ctx.ControlStatusCtx(status=ag_ctx.Status.DISABLED)


def pytest_collection_modifyitems(config, items):
    """Leave out the tests of disks without room, and of the first instants of a command: coverage writes files too."""
    left_out = [item for item in items if any(part in item.nodeid for part in _NOT_MEASURED)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_runtest_logreport(report):
    _seconds[report.nodeid] += report.duration


def pytest_sessionfinish(session):
    if "PYTEST_XDIST_WORKER" not in os.environ:
        before = json.loads(SECONDS.read_text()) if SECONDS.exists() else {}
        SECONDS.write_text(json.dumps(before | _seconds, indent=1))
