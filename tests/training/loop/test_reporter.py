import io
import math
import re

import numpy as np
import pytest

from tests.training.every_preset import config_of
from training.loop.collapse import CollapseDetector
from training.loop.records import Records, Status
from training.loop.reporter import Reporter, format_line
from training.loop.timetable import Timetable
from training.presets import PRESETS

CONFIG = config_of(PRESETS["classic"])  # 15 steps of 64 an epoch
TIMETABLE = Timetable(30, 15, 1, 10, 10, None, None, 0)
SUMS = np.array([1.2, 0.9, 3.0, 2.0, 1.0, 0.5, 0.25])  # D, G, gradients, updates of G, sign, probability: of a step


@pytest.fixture
def reporter(tmp_path):
    reporter = Reporter(tmp_path, CONFIG, TIMETABLE)
    reporter.restart(0)
    with reporter.progress_bar(0):
        yield reporter


def test_an_epoch_is_a_line_a_record_and_a_grid(reporter, tmp_path, capsys):
    reporter.add_steps(15, 15, 15 * SUMS)
    reporter.report_epoch(15, 15 * SUMS, 12.345678, np.zeros((4, 8, 8, 1), np.uint8))
    shown = capsys.readouterr()
    assert "epoch 1: 960 images seen, D 1.2000, G 0.9000, 12.3 s" in shown.out + shown.err
    assert (tmp_path / "samples/epoch-00001.png").is_file()
    [epoch] = reporter.records.epochs
    assert (epoch.epoch, epoch.step, epoch.images_seen, epoch.seconds) == (1, 15, 960, 12.346)
    assert (epoch.d_loss, epoch.g_loss, epoch.augment_probability) == pytest.approx((1.2, 0.9, 0.25))


def test_a_status_is_of_the_steps_since_the_last_one(reporter, tmp_path, capsys):
    reporter.add_steps(5, 5, 5 * SUMS)
    reporter.report_status(5, 0)
    reporter.add_steps(8, 3, 6 * SUMS)
    reporter.report_status(8, 2)
    first, second = Records(tmp_path, 8).statuses
    assert (first.d_loss, second.d_loss) == pytest.approx((1.2, 2.4))
    assert (second.step, second.kimg, second.epoch) == pytest.approx((8, 0.512, 8 / 15))
    assert (second.rollbacks, first.augment_probability) == (2, 0.25)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if re.match(r"epoch 0\.", line)]) == 2


def test_scores_are_a_line_and_a_record(reporter, capsys):
    reporter.report_scores(10, {"swd": 12.3456, "kid": 0.5})
    shown = capsys.readouterr()
    assert "640 images seen: swd 12.35, kid 0.5" in shown.out + shown.err
    assert [(scores.step, scores.kimg) for scores in reporter.records.scores] == [(10, 0.64)]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_a_warning_is_written_once_and_statuses_not_at_all(tmp_path, monkeypatch, capsys):
    warnings = iter(["", "collapse: why", "collapse: why", ""])
    monkeypatch.setattr(CollapseDetector, "update", lambda self, *values: next(warnings))
    monkeypatch.setattr("sys.stderr", Terminal())
    reporter = Reporter(tmp_path, CONFIG, TIMETABLE)
    reporter.restart(0)
    with reporter.progress_bar(0):
        for step in (5, 10, 15, 20):
            reporter.add_steps(step, 5, 5 * SUMS)
            reporter.report_status(step, 0)
    assert capsys.readouterr().out.count("epoch") == 1


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (
            Status(200, 1.5, 12.8, 1234.5, 1.25, 0.75, 0.5, 2.0, 1500.4, 3725.2, math.nan, 0, ""),
            "epoch 1.50, 12.8 kimg, 1,234 img/s, D 1.250, G 0.750, gradients 0.5 and 2, 1,500 MB, 1:02:05 left",
        ),
        (  # a run of less than a photo a second does not seem to stand still
            Status(10, 0.003, 0.042, 0.412, 1.25, 0.75, 0.5, 2.0, 1500.4, 60.0, math.nan, 2, "collapse: why"),
            "epoch 0.00, 0.042 kimg, 0.412 img/s, D 1.250, G 0.750, gradients 0.5 and 2, 1,500 MB, 0:01:00 left, "
            "2 rollbacks, collapse: why",
        ),
    ],
)
def test_a_line_has_how_far_how_fast_and_how_well(status, line):
    assert format_line(status) == line
