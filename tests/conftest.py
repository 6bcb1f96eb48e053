"""Before any test imports TensorFlow: `training` sets the environment that TensorFlow reads when it is imported."""

import signal

import pytest

import training  # noqa: F401
from tests.bucket_server import bucket  # noqa: F401, a fixture

# Under nohup, or in a script's background, programs ignore these, and so would the commands that tests send them to.
for number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)  # still without effect here; a new program begins with the default

# Files that take a minute and more. A file is one worker's: in alphabetical order the others would wait for the last.
LONG = {"test_documented_commands.py", "test_hosts.py", "test_run_continues.py"}


def pytest_collection_modifyitems(items):
    """Begin with them."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="module")
def quick_directions():
    """Directions are refined on a smaller network in fewer steps, and judged on fewer faces.

    That is enough for what small generators know.
    """
    from explore.directions import __main__ as command
    from explore.directions import refining

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"WIDTH": 64, "UPDATES": 300, "STEPS": 200}.items():
            patch.setattr(refining, name, value)
        patch.setattr(command, "RESCORED", 200)
        yield
