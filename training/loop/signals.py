"""Signals that ask a run to stop: of Ctrl-C, of `kill`, and of a closed terminal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from system.command import signals_handled


@dataclass
class StopRequest:
    """The signal that has asked the run to stop; 0 for none."""

    signal: int = 0


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Note a signal instead of ending at once; the second one ends the process as usual."""
    stop = StopRequest()

    def note(number: int) -> None:
        stop.signal = number
        if number != signal.SIGHUP:
            signal.signal(number, before[number])

    with signals_handled(note) as before:
        yield stop
