"""Waiting for what another process does."""

import time
from collections.abc import Callable


def wait_until(true: Callable[[], object], seconds: float = 20) -> None:
    """Return when this is true; fail where it takes longer."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)
