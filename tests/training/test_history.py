import csv
import json
from dataclasses import asdict

import numpy as np
import tensorflow as tf
from PIL import Image

from training.history import History, Row
from training.status import Status


def row(epoch, d_loss=1.25):
    return Row(epoch, epoch * 10, epoch * 1280, d_loss, 0.1 + 0.2, 3.5)


def rows_on_disk(folder):
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_epoch_is_a_row_and_a_scalar(tmp_path):
    history = History(tmp_path, 0)
    history.add(row(1))
    history.add(row(2))
    assert list(rows_on_disk(tmp_path)[0]) == ["epoch", "step", "images_seen", "d_loss", "g_loss", "seconds"]
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


def status(step):
    return Status(step, step / 10, step * 0.064, 100.0, 1.0, 2.0, 0.1, 0.2, 900.0, 60.0)


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


def test_samples_are_a_grid_on_disk(tmp_path):
    path = History(tmp_path, 0).add_samples("epoch-00001", 1280, np.full((4, 8, 8, 1), 0.5))
    assert path == tmp_path / "samples" / "epoch-00001.png"
    picture = np.asarray(Image.open(path))
    assert picture.shape == (16, 16)
    assert (picture == 128).all()
