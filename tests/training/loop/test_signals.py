import os
import signal

import pytest

from training.loop.signals import stop_on_signal


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_noted_and_the_second_does_what_it_did_before(number):
    seen = []
    before = signal.signal(number, lambda *_: seen.append("before"))
    try:
        with stop_on_signal() as stop:
            assert stop.signal == 0
            os.kill(os.getpid(), number)
            assert (stop.signal, seen) == (number, [])
            os.kill(os.getpid(), number)
            assert seen == ["before"]
        os.kill(os.getpid(), number)
        assert seen == ["before", "before"]
    finally:
        signal.signal(number, before)


def test_a_closed_terminal_may_say_so_twice_and_under_nohup_in_vain():
    with stop_on_signal() as stop:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.signal == signal.SIGHUP
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.signal == 0
    finally:
        signal.signal(signal.SIGHUP, before)
