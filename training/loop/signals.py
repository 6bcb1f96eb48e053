"""SIGTERM and Ctrl-C during a run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class StopRequest:
    """The signal that has asked the run to stop; 0 for none."""

    signal: int = 0


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Note SIGTERM and Ctrl-C instead of ending at once; the second one ends the process as usual."""
    stop = StopRequest()

    def note(number: int, _frame: object) -> None:
        stop.signal = number
        signal.signal(number, before[number])

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
