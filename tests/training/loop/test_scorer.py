import math
from dataclasses import replace

import numpy as np
import pytest

from training.config import Config
from training.loop.engine import sample
from training.loop.history import Scores
from training.loop.scorer import Scorer
from training.models.gan import build
from training.models.progress import Progress
from training.presets import PRESETS


def scores(*values):
    return [Scores(step, step * 0.1, {"swd": value}) for step, value in enumerate(values)]


@pytest.mark.parametrize(("lower_is_better", "best"), [(True, 2), (False, 1)])
def test_the_best_is_the_first_that_nothing_surpasses(lower_is_better, best):
    scorer = Scorer(dict, 8, "swd", lower_is_better)
    assert scorer.best(scores(2.0, 3.0, 1.0, 1.0, 3.0)).step == best


def test_what_has_no_such_score_is_not_the_best():
    scorer = Scorer(dict, 8, "swd", lower_is_better=True)
    assert scorer.best([]) is None
    assert scorer.best([Scores(1, 0.1, {"kid": 0.0}), *scores(math.nan)]) is None
    assert scorer.best([Scores(1, 0.1, {"kid": 0.0}), *scores(math.nan, 5.0)]).values == {"swd": 5.0}


def test_the_faces_that_are_judged_begin_with_those_that_are_shown():
    config = Config("classic", replace(PRESETS["classic"], latent=4), 3, "train", 1000, "abc", (8, 8, 1), cache=True)
    gan = build(config.method, config.image_shape, config.seed, Progress())
    judged = []
    Scorer(lambda faces: judged.append(faces) or {}, 300, "swd", True).score(gan, config)
    assert (judged[0].shape, judged[0].dtype) == ((300, 8, 8, 1), np.uint8)
    shown = sample(gan, config)
    np.testing.assert_allclose(judged[0][:64].astype(int), shown.astype(int), atol=1)  # batches round otherwise
    assert len({face.tobytes() for face in judged[0]}) > 250
