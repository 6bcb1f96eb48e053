import csv
import json
import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from training.loop import history as history_module
from training.loop.history import History, Row, Scores
from training.loop.status import Status

OLDER = Path(__file__).parents[1] / "older_version"


def row(epoch, d_loss=1.25):
    return Row(epoch, epoch * 10, epoch * 1280, d_loss, 0.1 + 0.2, 3.5)


def rows_on_disk(folder):
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_epoch_is_a_row_and_a_scalar(tmp_path):
    history = History(tmp_path, 0)
    history.add(row(1))
    history.add(row(2))
    assert list(rows_on_disk(tmp_path)[0]) == [
        "epoch", "step", "images_seen", "d_loss", "g_loss", "seconds", "warning",
    ]  # fmt: skip
    assert [float(line["g_loss"]) for line in rows_on_disk(tmp_path)] == [0.1 + 0.2] * 2
    assert Image.open(tmp_path / "losses.png").size[0] > 300
    [events] = (tmp_path / "tensorboard").iterdir()
    found = [
        (event.step, value.tag)
        for event in tf.compat.v1.train.summary_iterator(str(events))
        for value in event.summary.value
    ]
    assert found == [(step, f"loss/{who}") for step in (1280, 2560) for who in ("discriminator", "generator")]


def test_a_continued_run_has_no_row_twice_and_misses_none(tmp_path):
    first = History(tmp_path, 0)
    for epoch in (1, 2, 3):
        first.add(row(epoch, d_loss=1.0))
    continued = History(tmp_path, steps_done=20)  # killed after row 3, before its checkpoint
    for epoch in (3, 4):
        continued.add(row(epoch, d_loss=2.0))
    assert [(line["epoch"], line["d_loss"]) for line in rows_on_disk(tmp_path)] == [
        ("1", "1.0"),
        ("2", "1.0"),
        ("3", "2.0"),
        ("4", "2.0"),
    ]


def test_a_run_that_ended_within_an_epoch_and_goes_on_has_one_row_of_it(tmp_path):
    History(tmp_path, 0).add(Row(1, 4, 40, 1.0, 1.0, 1.0))
    History(tmp_path, 4).add(Row(1, 10, 100, 2.0, 2.0, 2.0))
    assert [(line["epoch"], line["step"]) for line in rows_on_disk(tmp_path)] == [("1", "10")]


def test_a_warning_comes_back(tmp_path):
    noted = replace(row(1), warning='collapse: "alike", so G learns nothing')
    History(tmp_path, 0).add(noted)
    assert History(tmp_path, 10).rows == [noted]


def scores(step, **values):
    return Scores(step, step / 10, values)


def test_scores_of_a_continued_run_are_there_once_and_may_be_of_other_metrics(tmp_path):
    first = History(tmp_path, 0)
    for step in (10, 20, 30):
        first.add_scores(scores(step, swd=0.1 + step))
    continued = History(tmp_path, steps_done=20)
    continued.add_scores(scores(30, kid=0.5, swd=2.0))
    assert (tmp_path / "metrics.csv").read_text() == "step,kimg,swd,kid\n10,1.0,10.1,\n20,2.0,20.1,\n30,3.0,2.0,0.5\n"
    assert History(tmp_path, 30).scores == [scores(10, swd=10.1), scores(20, swd=20.1), scores(30, swd=2.0, kid=0.5)]


def test_without_metrics_there_is_no_table_of_them(tmp_path):
    History(tmp_path, 0)
    assert not list(tmp_path.glob("*.csv")) + list(tmp_path.glob("*.jsonl"))


def status(step, **others):
    return Status(step, step / 10, step * 0.064, 100.0, 1.0, 2.0, 0.1, 0.2, 900.0, 60.0, **others)


def test_stats_of_a_continued_run_have_no_line_twice_even_after_half_a_line(tmp_path):
    first = History(tmp_path, 0)
    for step in (5, 10, 15):
        first.add_status(status(step))
    path = tmp_path / "stats.jsonl"
    path.write_text(path.read_text() + '{"step": 1')  # killed while it wrote
    History(tmp_path, steps_done=10).add_status(status(12))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10, 12]
    assert lines[0] == asdict(status(5))


def test_a_status_comes_back_and_is_json_where_g_was_not_updated(tmp_path):
    noted = status(5, spread=0.5, rollbacks=1, warning="collapse: alike")
    history = History(tmp_path, 0)
    history.add_status(noted)
    history.add_status(replace(status(6), g_loss=math.nan, g_gradient=math.nan))
    text = (tmp_path / "stats.jsonl").read_text()
    assert "NaN" not in text
    before, without_g = History(tmp_path, 6).statuses
    assert before == noted
    assert math.isnan(without_g.g_loss)
    assert (tmp_path / "stats.jsonl").read_text() == text


def test_samples_are_a_grid_on_disk(tmp_path):
    path = History(tmp_path, 0).add_samples("epoch-00001", 1280, np.full((4, 8, 8, 1), 128, np.uint8))
    assert path == tmp_path / "samples" / "epoch-00001.png"
    picture = np.asarray(Image.open(path))
    assert picture.shape == (16, 16)
    assert (picture == 128).all()


def test_the_records_of_an_older_version_are_read_and_what_they_do_not_have_is_its_default(tmp_path):
    for path in OLDER.iterdir():
        shutil.copy(path, tmp_path)
    lines = (tmp_path / "stats.jsonl").read_text().splitlines()
    first = {name: value for name, value in json.loads(lines[0]).items() if name not in ("spread", "warning")}
    lines[0] = json.dumps({**first, "of_a_newer_version": 1})
    (tmp_path / "stats.jsonl").write_text("\n".join(lines) + "\n")
    text = (tmp_path / "history.csv").read_text()
    (tmp_path / "history.csv").write_text(text.replace(",\n", "\n").replace(",warning\n", "\n"))
    history = History(tmp_path, 15)
    assert [status.step for status in history.statuses] == [5, 10, 15]
    assert (history.statuses[0].spread, history.statuses[0].warning) == (None, "")
    assert [(row.epoch, row.warning) for row in history.rows] == [(1, ""), (2, "")]


def test_what_is_done_again_is_dropped_from_every_file_at_once(tmp_path):
    """A run that dies again before its next epoch must not leave rows of what no checkpoint has."""
    first = History(tmp_path, 0)
    for epoch in (1, 2, 3):
        first.add(row(epoch))
        first.add_scores(scores(10 * epoch, swd=1.0))
        first.add_status(status(10 * epoch))
    History(tmp_path, steps_done=20)
    assert [line["epoch"] for line in rows_on_disk(tmp_path)] == ["1", "2"]
    assert (tmp_path / "metrics.csv").read_text().count("\n") == 3
    assert [json.loads(line)["step"] for line in (tmp_path / "stats.jsonl").read_text().splitlines()] == [10, 20]


def test_leftovers_of_a_death_are_removed_wherever_they_are(tmp_path):
    (tmp_path / "samples").mkdir()
    for name in (".partial-history.csv", "samples/.partial-epoch-00001.png"):
        (tmp_path / name).touch()
    History(tmp_path, 0)
    assert not list(tmp_path.rglob(".partial-*"))


def test_the_curve_has_its_floor_at_zero_unless_a_loss_lies_below(tmp_path, monkeypatch):
    floors, curves = [], []
    real = history_module.Figure.savefig
    monkeypatch.setattr(
        history_module.Figure,
        "savefig",
        lambda figure, *args, **options: (
            floors.append(figure.axes[0].get_ylim()[0]),
            curves.append({line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].lines}),
            real(figure, *args, **options),
        ),
    )
    history = History(tmp_path, 0)
    history.add(row(1, d_loss=2.0))
    history.add(row(2, d_loss=-3.0))
    assert floors[0] == 0
    assert floors[1] < -3
    history.add(row(2, d_loss=-0.5))
    assert floors[2] < -0.5
    seen = (1.28, 2.56)  # thousands of photos
    assert curves[1] == {
        "discriminator": [[seen[0], 2.0], [seen[1], -3.0]],
        "generator": [[seen[0], 0.1 + 0.2], [seen[1], 0.1 + 0.2]],
    }


def test_scalars_stand_at_the_photos_seen(tmp_path):
    history = History(tmp_path, 0)
    history.add_scores(Scores(10, 0.64, {"swd": 1.5}))
    history.add_status(replace(status(20), spread=0.25))
    history.add(row(1))  # which brings all of them to the disk
    [events] = (tmp_path / "tensorboard").iterdir()
    found = {
        value.tag: (event.step, float(tf.make_ndarray(value.tensor)))
        for event in tf.compat.v1.train.summary_iterator(str(events))
        for value in event.summary.value
    }
    assert found["metrics/swd"] == (640, 1.5)
    assert found["status/spread"] == (1280, 0.25)
    assert found["status/images_per_second"] == (1280, 100.0)


def tags_on_disk(folder):
    """What a viewer of the running run sees, and the size of each picture."""
    [events] = (folder / "tensorboard").iterdir()
    return [
        value.tag
        + (f" {tf.make_ndarray(value.tensor)[:2]}" if value.metadata.plugin_data.plugin_name == "images" else "")
        for event in tf.compat.v1.train.summary_iterator(str(events))
        for value in event.summary.value
    ]


def test_what_is_recorded_can_be_seen_at_once(tmp_path):
    history = History(tmp_path, 0)
    assert not (tmp_path / "stats.jsonl").exists()
    history.add(row(1))
    assert tags_on_disk(tmp_path) == ["loss/discriminator", "loss/generator"]
    history.add_scores(Scores(10, 0.64, {"swd": 1.5}))
    assert tags_on_disk(tmp_path)[2:] == ["metrics/swd"]
    history.add_samples("epoch-00001", 1280, np.zeros((4, 8, 6, 1), np.uint8))
    history.add(row(2))
    assert tags_on_disk(tmp_path)[3] == "samples [b'12' b'16']"  # two by two, width and height


def test_a_loss_that_is_zero_still_has_its_floor_at_zero(tmp_path, monkeypatch):
    figures = []
    real = history_module.Figure.savefig
    monkeypatch.setattr(
        history_module.Figure,
        "savefig",
        lambda figure, *args, **options: (figures.append(figure), real(figure, *args, **options)),
    )
    History(tmp_path, 0).add(row(1, d_loss=0.0))
    [axes] = figures[0].axes
    assert axes.get_ylim()[0] == 0
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["discriminator", "generator"]


def test_the_first_line_of_status_is_on_the_disk_at_once(tmp_path):
    History(tmp_path, 0).add_status(status(5))
    assert len((tmp_path / "stats.jsonl").read_text().splitlines()) == 1
    assert [kept.step for kept in History(tmp_path, 5).statuses] == [5]
