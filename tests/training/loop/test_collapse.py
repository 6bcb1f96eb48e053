import math

import numpy as np
import pytest

from training.loop.collapse import DISCRIMINATOR_WINS, DIVERGED, FACES_ALIKE, CollapseDetector, spread
from training.models.step import LOSSES


def test_spread_is_the_deviation_over_images_and_not_over_pixels():
    rng = np.random.default_rng(0)
    noise = rng.normal(128, 20, (10_000, 4, 4, 1)).round().astype(np.uint8)
    assert spread(noise) == pytest.approx(20, rel=0.02)
    assert spread(np.repeat(noise[:1], 64, axis=0)) == 0.0
    assert spread(np.repeat(np.uint8([0, 255]), 16).reshape(2, 4, 4, 1)) == 127.5


def test_faces_that_are_alike_are_warned_of_once_g_has_had_time_to_learn():
    detector = CollapseDetector(chance=1.0)
    assert detector.update(19.9, 1.0, 1.0, relative_spread=0.0) == ""
    assert detector.update(20.0, 1.0, 1.0, relative_spread=0.09) == FACES_ALIKE
    assert detector.update(21.0, 1.0, 1.0, relative_spread=math.nan) == FACES_ALIKE
    assert detector.update(22.0, 1.0, 1.0, relative_spread=0.11) == ""


@pytest.mark.parametrize("name", ["cross_entropy", "hinge", "relativistic"])
def test_a_loss_near_zero_is_warned_of_when_it_lasts(name):
    chance = LOSSES[name].chance
    detector = CollapseDetector(chance)
    assert detector.update(10.0, 0.5 * chance, 1.0, math.nan) == ""
    assert detector.update(25.0, 0.019 * chance, 1.0, math.nan) == ""
    assert detector.update(44.9, 0.019 * chance, 1.0, math.nan) == ""
    assert detector.update(45.0, 0.019 * chance, 1.0, math.nan) == DISCRIMINATOR_WINS
    assert detector.update(46.0, 0.021 * chance, 1.0, math.nan) == ""
    assert detector.update(50.0, 0.019 * chance, 1.0, math.nan) == ""
    assert detector.update(69.9, 0.019 * chance, 1.0, math.nan) == ""
    assert detector.update(70.0, 0.019 * chance, 1.0, math.nan) == DISCRIMINATOR_WINS


def test_losses_that_run_away_are_warned_of_until_they_return():
    chance = LOSSES["hinge"].chance
    detector = CollapseDetector(chance)
    assert detector.update(1.0, 199 * chance, -500 * chance, math.nan) == ""
    assert detector.update(2.0, chance, 201 * chance, math.nan) == DIVERGED
    assert detector.update(3.0, 201 * chance, math.nan, math.nan) == DIVERGED
    assert detector.update(4.0, chance, math.nan, math.nan) == ""


def test_a_wasserstein_distance_may_be_zero_for_long():
    detector = CollapseDetector(LOSSES["wasserstein"].chance)
    assert [detector.update(kimg, 0.0, 1.0, 1.0) for kimg in (50.0, 100.0)] == ["", ""]
    assert detector.update(101.0, -1e6, 1e9, 1.0) == ""
    assert detector.update(102.0, -1e6, 1e9, relative_spread=0.01) == FACES_ALIKE


def test_the_bounds_themselves_are_no_warning():
    """At 200 times chance a loss has not run away, at 0.02 of it it is not near zero, at 0.1 faces are not alike."""
    detector = CollapseDetector(chance=1.0)
    assert detector.update(100.0, 200.0, 200.0, relative_spread=0.1) == ""
    assert detector.update(101.0, 200.1, 1.0, math.nan) == DIVERGED
    assert detector.update(102.0, 1.0, 200.1, math.nan) == DIVERGED
    for kimg in (110.0, 120.0, 140.0):
        assert detector.update(kimg, 0.02, 1.0, math.nan) == ""
    # Two signs at once are both in the warning; the time near zero counts from the first interval with such a loss.
    assert detector.update(150.0, 0.01, 1.0, relative_spread=0.05) == FACES_ALIKE
    assert detector.update(169.9, 0.01, 1.0, math.nan) == FACES_ALIKE
    assert detector.update(170.0, 0.01, 300.0, math.nan) == f"{FACES_ALIKE}; {DISCRIMINATOR_WINS}; {DIVERGED}"
