import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import tensorflow as tf
from click import UsageError
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from tests.training.runs import history
from training.loop.records import Epoch, Records, Scores, Status, best


def epoch(number, d_loss=1.25):
    return Epoch(number, number * 10, number * 1280, d_loss, 0.1 + 0.2, 3.5, "")


def scores(step, **values):
    return Scores(step, step / 10, values)


def status(step, **changes):
    return replace(
        Status(step, step / 10, step * 0.064, 100.0, 1.0, 2.0, 0.1, 0.2, 900.0, 60.0, math.nan, 0, ""), **changes
    )


def log(folder):
    return [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]


def shown(folder):
    """What TensorBoard reads at this moment: (step, tag, value or PNG) of each."""
    accumulator = EventAccumulator(str(folder / "tensorboard"), size_guidance=STORE_EVERYTHING_SIZE_GUIDANCE).Reload()
    return [
        (entry.step, tag, value[2] if tag == "samples" else float(value))
        for tag in accumulator.Tags()["tensors"]
        for entry in accumulator.Tensors(tag)
        for value in [tf.make_ndarray(entry.tensor_proto)]
    ]


def test_an_epoch_is_a_line_of_the_log_and_of_the_table_a_curve_and_scalars(tmp_path):
    records = Records(tmp_path, 0)
    records.add(epoch(1))
    assert shown(tmp_path) == [(1280, "loss/discriminator", 1.25), (1280, "loss/generator", pytest.approx(0.3))]
    records.add(epoch(2))
    assert log(tmp_path) == [{"event": "epoch", **asdict(epoch(number))} for number in (1, 2)]
    assert ",".join(history(tmp_path)[0]) == "epoch,step,images_seen,d_loss,g_loss,seconds,warning,augment_probability"
    assert [float(line["g_loss"]) for line in history(tmp_path)] == [0.1 + 0.2] * 2
    assert Image.open(tmp_path / "losses.png").size == (700, 350)


def test_a_status_and_scores_are_lines_of_the_log_and_scalars_at_the_photos_seen(tmp_path):
    records = Records(tmp_path, 0)
    records.add(scores(10, swd=1.5))
    assert shown(tmp_path) == [(1000, "metrics/swd", 1.5)]
    records.add(status(20, spread=0.25))
    assert (1280, "status/spread", 0.25) in shown(tmp_path)
    assert [line["event"] for line in log(tmp_path)] == ["scores", "status"]
    assert not (tmp_path / "history.csv").exists()


def test_samples_are_a_grid_on_disk_and_in_tensorboard(tmp_path):
    records = Records(tmp_path, 0)
    records.add(epoch(1))
    records.add_samples(epoch(1), np.full((4, 8, 6, 1), 128, np.uint8))
    path = tmp_path / "samples" / "epoch-00001.png"
    picture = np.asarray(Image.open(path))
    assert picture.shape == (16, 12)
    assert (picture == 128).all()
    assert (1280, "samples", path.read_bytes()) in shown(tmp_path)


def test_what_is_done_again_is_dropped_from_the_log_and_every_view(tmp_path):
    """A run that dies again before its next epoch must not leave records of what no checkpoint has."""
    first, shown_at = Records(tmp_path, 0), {}
    for number in (1, 2, 3):
        first.add(status(10 * number, spread=0.5, rollbacks=1, warning='collapse: "alike", so G learns nothing'))
        first.add(epoch(number, d_loss=1.0))
        first.add_samples(epoch(number), np.zeros((1, 8, 8, 3), np.uint8))
        first.add(scores(10 * number, swd=float(number)))
        shown_at[number] = sorted(shown(tmp_path), key=str)
    kept = Records(tmp_path, steps_done=20)
    assert kept.events == first.events[:6]
    assert [line["step"] for line in log(tmp_path)] == [10, 10, 10, 20, 20, 20]
    assert [line["epoch"] for line in history(tmp_path)] == ["1", "2"]
    assert (tmp_path / "metrics.csv").read_text() == "step,kimg,swd\n10,1.0,1.0\n20,2.0,2.0\n"
    assert sorted(shown(tmp_path), key=str) == shown_at[2]
    kept.add(epoch(3, d_loss=2.0))
    assert [(line["epoch"], line["d_loss"]) for line in history(tmp_path)] == [("1", "1.0"), ("2", "1.0"), ("3", "2.0")]
    Records(tmp_path, steps_done=0)
    assert not list(tmp_path.glob("*.csv"))


def test_the_views_are_made_again_from_the_log_alone(tmp_path):
    records = Records(tmp_path, 0)
    records.add(epoch(1))
    records.add(scores(10, swd=1.5))
    views = [tmp_path / name for name in ("history.csv", "metrics.csv", "losses.png")]
    before = [path.read_bytes() for path in views]
    for path in views:
        path.unlink()
    Records(tmp_path, 10)
    assert [path.read_bytes() for path in views] == before


def test_half_a_line_of_a_killed_run_is_dropped(tmp_path):
    Records(tmp_path, 0).add(status(5))
    path = tmp_path / "stats.jsonl"
    path.write_text(path.read_text() + '{"event": "sta')
    Records(tmp_path, 5).add(status(12))
    assert [line["step"] for line in log(tmp_path)] == [5, 12]


@pytest.mark.parametrize("line", ["[1]", "{}", '{"event": "photo"}', '{"event": "epoch", "step": 3}', "\x00"])
def test_a_damaged_line_is_named_and_nothing_changes(tmp_path, line):
    Records(tmp_path, 0).add(status(5))
    path = tmp_path / "stats.jsonl"
    text = path.read_text() + line + "\n"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"stats\.jsonl, line 2"):
        Records(tmp_path, 5)
    assert path.read_text() == text


def test_an_epoch_that_a_continued_run_completed_has_one_row(tmp_path):
    Records(tmp_path, 0).add(Epoch(1, 4, 40, 1.0, 1.0, 1.0, ""))
    Records(tmp_path, 4).add(Epoch(1, 10, 100, 2.0, 2.0, 2.0, ""))
    assert [(line["epoch"], line["step"]) for line in history(tmp_path)] == [("1", "10")]


def test_a_run_may_go_on_with_other_metrics(tmp_path):
    Records(tmp_path, 0).add(scores(10, swd=0.5))
    Records(tmp_path, 10).add(scores(20, kid=0.25, swd=2.0))
    assert (tmp_path / "metrics.csv").read_text() == "step,kimg,swd,kid\n10,1.0,0.5,\n20,2.0,2.0,0.25\n"


def test_a_score_that_is_no_number_comes_back(tmp_path):
    Records(tmp_path, 0).add(scores(6, kid=math.nan, swd=2.0))
    assert log(tmp_path)[0]["values"] == {"kid": None, "swd": 2.0}
    assert math.isnan(Records(tmp_path, 6).scores[0].values["kid"])


def test_a_loss_that_g_does_not_have_is_null_in_the_log_and_comes_back(tmp_path):
    Records(tmp_path, 0).add(status(6, g_loss=math.nan, g_gradient=math.nan))
    text = (tmp_path / "stats.jsonl").read_text()
    assert (log(tmp_path)[0]["g_loss"], log(tmp_path)[0]["spread"]) == (None, None)
    [again] = Records(tmp_path, 6).statuses
    assert all(map(math.isnan, (again.g_loss, again.g_gradient, again.spread)))
    assert (tmp_path / "stats.jsonl").read_text() == text


def test_leftovers_of_a_death_are_removed_wherever_they_are(tmp_path):
    (tmp_path / "samples").mkdir()
    for name in (".partial-history.csv", "samples/.partial-epoch-00001.png"):
        (tmp_path / name).touch()
    Records(tmp_path, 0)
    assert not list(tmp_path.rglob(".partial-*"))


@pytest.mark.parametrize(("metric", "step"), [("swd", 2), ("recall", 1)])  # lower is better, higher is better
def test_the_best_is_the_first_that_nothing_surpasses(metric, step):
    values = (2.0, 3.0, 1.0, 1.0, 3.0)
    assert best([scores(step, **{metric: value}) for step, value in enumerate(values)], metric).step == step


def test_what_has_no_such_score_is_not_the_best():
    without = [scores(1, kid=0.0), scores(2, swd=math.nan)]
    assert best([], "swd") is None
    assert best(without, "swd") is None
    assert best([*without, scores(3, swd=5.0)], "swd").step == 3


def test_a_copyist_is_not_the_best_where_there_are_held_out_photos():
    honest, copyist = scores(0, swd=5.0, swd_held_out=5.0), scores(1, swd=0.0, swd_held_out=7.0)
    assert best([honest, copyist], "swd") == honest
    without = scores(2, swd=3.0)  # continued without the held-out shards
    assert best([honest, scores(1, swd=6.0), without], "swd") == without
