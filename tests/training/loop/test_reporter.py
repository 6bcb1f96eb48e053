import io
import re

import numpy as np
import pytest

from tests.training.every_preset import config_of
from training.loop.collapse import CollapseDetector
from training.loop.history import History
from training.loop.reporter import Reporter
from training.loop.scores import Scores
from training.presets import PRESETS
from training.schedule import Timetable

CONFIG = config_of(PRESETS["classic"])  # 15 steps of 64 an epoch
TIMETABLE = Timetable(30, 15, 1, 10, 10, None, None, 0)
SUMS = np.array([1.2, 0.9, 3.0, 2.0, 1.0])  # D, G, gradients, updates of G: of one step


@pytest.fixture
def reporter(tmp_path):
    reporter = Reporter(tmp_path, CONFIG, TIMETABLE)
    reporter.restart(0)
    with reporter.progress_bar(0):
        yield reporter


def test_an_epoch_is_a_line_a_row_and_a_grid(reporter, tmp_path, capsys):
    reporter.add_steps(15, 15, 15 * SUMS)
    reporter.report_epoch(15, 15 * SUMS, 12.345678, np.zeros((4, 8, 8, 1), np.uint8))
    said = capsys.readouterr()
    assert "epoch 1: 960 images seen, D 1.2000, G 0.9000, 12.3 s" in said.out + said.err
    assert (tmp_path / "samples/epoch-00001.png").is_file()
    [row] = reporter.history.rows
    assert (row.epoch, row.step, row.images_seen, row.seconds) == (1, 15, 960, 12.346)
    assert (row.d_loss, row.g_loss) == pytest.approx((1.2, 0.9))


def test_a_status_is_of_the_steps_since_the_last_one(reporter, tmp_path, capsys):
    reporter.add_steps(5, 5, 5 * SUMS)
    reporter.report_status(5, 0)
    reporter.add_steps(8, 3, 6 * SUMS)
    reporter.report_status(8, 2)
    first, second = History(tmp_path, 8).statuses
    assert (first.d_loss, second.d_loss) == pytest.approx((1.2, 2.4))
    assert (second.step, second.kimg, second.epoch) == pytest.approx((8, 0.512, 8 / 15))
    assert second.rollbacks == 2
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if re.match(r"epoch 0\.", line)]) == 2


def test_scores_are_a_line(reporter, capsys):
    reporter.report_scores(Scores(10, 0.64, {"swd": 12.3456, "kid": 0.5}))
    said = capsys.readouterr()
    assert "640 images seen: swd 12.35, kid 0.5" in said.out + said.err


def test_a_run_that_is_continued_knows_what_was_seen_before(tmp_path, monkeypatch):
    """A warning rests on the statuses of several minutes: those of before the interruption count."""
    seen = []
    monkeypatch.setattr(CollapseDetector, "update", lambda self, *values: seen.append(values) or "")
    first = Reporter(tmp_path, CONFIG, TIMETABLE)
    first.restart(0)
    with first.progress_bar(0):
        for step in (5, 10):
            first.add_steps(step, 5, 5 * SUMS)
            first.report_status(step, 0, spread=0.5)
    known, seen[:] = list(seen), []
    Reporter(tmp_path, CONFIG, TIMETABLE).restart(10)
    assert seen == known
    assert len(known) == 2


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_a_warning_is_said_once_and_statuses_not_at_all(tmp_path, monkeypatch, capsys):
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
