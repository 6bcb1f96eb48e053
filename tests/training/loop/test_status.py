import resource

import pytest

from training.loop.status import Status, format_line, memory_mb


def test_a_line_says_how_far_how_fast_and_how_well():
    status = Status(
        step=200, epoch=1.5, kimg=12.8, images_per_second=1234.5, d_loss=1.25, g_loss=0.75,
        d_gradient=0.5, g_gradient=2.0, memory_mb=1500.4, seconds_left=3725.2,
    )  # fmt: skip
    assert format_line(status) == (
        "epoch 1.50, 12.8 kimg, 1,234 img/s, D 1.250, G 0.750, gradients 0.5 and 2, 1,500 MB, 1:02:05 left"
    )


def test_a_run_of_less_than_a_photo_a_second_does_not_seem_to_stand_still():
    status = Status(10, 0.003, 0.042, 0.412, 1.25, 0.75, 0.5, 2.0, 1500.4, 60.0)
    assert "0.042 kimg, 0.412 img/s" in format_line(status)


def test_rollbacks_and_a_warning_are_said_where_there_are_any():
    status = Status(200, 1.5, 12.8, 1234.5, 1.25, 0.75, 0.5, 2.0, 1500.4, 60.0, rollbacks=2, warning="collapse: why")
    assert format_line(status).endswith("0:01:00 left, 2 rollbacks, collapse: why")


def test_memory_is_what_this_process_took():
    before = memory_mb()
    block = bytearray(200_000_000)
    block[::4096] = b"x" * len(block[::4096])
    assert memory_mb() >= before
    assert 100 < memory_mb() < 50_000


def test_memory_is_the_peak_that_the_system_counts():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6  # kB on Linux
    assert memory_mb() == pytest.approx(peak, rel=1e-4)
