import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from training.config import Config
from training.loop.outputs import sample
from training.loop.scores import Scores, best, score
from training.models.gan import Progress, build
from training.presets import PRESETS


def scores(name, *values):
    return [Scores(step, step * 0.1, {name: value}) for step, value in enumerate(values)]


@pytest.mark.parametrize(("metric", "step"), [("swd", 2), ("recall", 1)])  # lower is better, higher is better
def test_the_best_is_the_first_that_nothing_surpasses(metric, step):
    assert best(scores(metric, 2.0, 3.0, 1.0, 1.0, 3.0), metric).step == step


def test_what_has_no_such_score_is_not_the_best():
    other = Scores(1, 0.1, {"kid": 0.0})
    assert best([], "swd") is None
    assert best([other, *scores("swd", math.nan)], "swd") is None
    assert best([other, *scores("swd", math.nan, 5.0)], "swd").values == {"swd": 5.0}


def test_a_copyist_is_not_the_best_where_there_are_held_out_photos():
    honest, copyist = (
        Scores(step, step * 0.1, {"swd": against_train, "swd_held_out": against_held_out})
        for step, (against_train, against_held_out) in enumerate([(5.0, 5.0), (0.0, 7.0)])
    )
    assert best([honest, copyist], "swd") == honest
    without = Scores(2, 0.2, {"swd": 3.0})  # continued without the held-out shards
    assert best([honest, replace(copyist, values={"swd": 6.0}), without], "swd") == without


def test_the_faces_that_are_scored_begin_with_those_that_are_shown():
    config = Config("classic", replace(PRESETS["classic"], latent=4), 3, "train", 1000, "abc", (8, 8, 1), cache=True)
    gan = build(config.method, config.image_shape, config.seed, Progress(5))
    scored = []
    evaluator = SimpleNamespace(
        count=300, labels=None, sample_of=lambda faces: faces, score=lambda faces: scored.append(faces) or {}
    )
    assert score(evaluator, gan, config, 10) == Scores(10, 0.64, {})
    assert (scored[0].shape, scored[0].dtype) == ((300, 8, 8, 1), np.uint8)
    shown = sample(gan, config)
    np.testing.assert_allclose(scored[0][:64].astype(int), shown.astype(int), atol=1)  # batches round otherwise
    assert len({face.tobytes() for face in scored[0]}) > 250


def test_a_score_against_held_out_photos_stands_beside_that_against_the_training_photos():
    config = Config("classic", replace(PRESETS["classic"], latent=4), 3, "train", 1000, "abc", (8, 8, 1), cache=True)
    gan = build(config.method, config.image_shape, config.seed, Progress(5))
    values = {"train/swd": 1.0, "train/kid_error": 2.0, "held_out/swd": 3.0, "held_out/kid_error": 4.0}
    evaluator = SimpleNamespace(count=8, labels=None, sample_of=lambda faces: faces, score=lambda faces: values)
    assert score(evaluator, gan, config, 1).values == {
        "swd": 1.0,
        "kid_error": 2.0,
        "swd_held_out": 3.0,
        "kid_error_held_out": 4.0,
    }
