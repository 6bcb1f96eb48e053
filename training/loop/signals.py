"""Signals that ask a run to stop: of Ctrl-C, of `kill`, and of a closed terminal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from system.command import stop_signals


@dataclass
class StopRequest:
    """The signal that has asked the run to stop; 0 for none."""

    signal: int = 0


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Note a signal instead of ending at once; the second one ends the process as usual."""
    stop = StopRequest()

    def note(number: int, _frame: object) -> None:
        stop.signal = number
        # A closed terminal may send its signal twice, before the run is saved.
        signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else before[number])

    before: dict[int, Any] = {number: signal.signal(number, note) for number in stop_signals()}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
