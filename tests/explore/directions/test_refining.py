"""On scores that are known: what they say of a face that is moved is computed, not predicted."""

from functools import cache

import numpy as np
import pytest
import tensorflow as tf

from explore.directions.directions import Directions, find
from explore.directions.refining import STRENGTH, move, refine

pytestmark = pytest.mark.usefixtures("quick_directions")

NAMES = ("Male", "No_Beard", "Smiling", "by_chance", "always")
TRUE = np.random.default_rng(0).standard_normal((3, 16))
TRUE[1] = TRUE[0] + 0.7 * TRUE[1]  # goes with the first


def latents(distribution, count, seed):
    random = np.random.default_rng(seed)
    draw = random.standard_normal if distribution == "normal" else lambda size: random.uniform(-1, 1, size)
    return draw((count, 16)).astype(np.float32)


def logits(z, labels=0.0):
    """Bent, as those of faces are; one has nothing to do with z, and one is always the same. Labels move the first."""
    places = z @ TRUE.T
    bent = places + 0.3 * places**2 / np.abs(places).max() - [0.0, 1.0, 2.0]
    bent[:, :1] += labels
    chance = np.random.default_rng(1).standard_normal((len(z), 1))
    return np.concatenate([bent, chance, np.ones((len(z), 1))], axis=1).astype(np.float32)


def shares(moves, z, name, strength, distribution, labels=0.0):
    """How many of the answers change where faces get the attribute, or lose it: the own, the mean of the others."""
    before, index = logits(z, labels) > 0, moves.names.index(name)
    towards, away = (moves.edit(z, {name: sign * strength}, distribution) for sign in (1, -1))
    moved = np.where(before[:, [index]], away, towards)
    changed = ((logits(moved, labels) > 0) != before).mean(axis=0)
    return changed[index], np.delete(changed, index).mean()


@cache
def refined_of(distribution, others_weight):
    """The steepest directions, and what becomes of them."""
    z = latents(distribution, 4_000, seed=2)
    steepest = find(NAMES, z, logits(z))
    return steepest, refine(steepest, z, None, logits(z), distribution, others_weight, seed=1)


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_most_faces_change_their_answer_and_the_others_change_less_than_along_the_steepest(distribution):
    others = latents(distribution, 500, seed=3)
    steepest, refined = refined_of(distribution, 1.0)
    assert refined.names == NAMES
    assert np.isfinite(refined.vectors).all()
    np.testing.assert_array_equal(refined.auc, steepest.auc)
    assert refined.is_calibrated[1:].tolist() == [True, True, False, False], "not what z does not decide"
    for name in NAMES[:3]:
        own, kept = shares(refined, others, name, STRENGTH, distribution)
        assert 0.75 < own < 0.97
        strengths = np.arange(0.25, 6, 0.25)
        reached = [shares(steepest, others, name, strength, distribution) for strength in strengths]
        assert kept < min(rest for share, rest in reached if share >= own) - 0.01
    lengths = np.linalg.norm(STRENGTH * refined.vectors, axis=1)
    assert lengths.max() < 4 + 1e-4, "what z does not decide ends somewhere"


def test_what_else_changes_is_of_no_account_on_request():
    others = latents("normal", 500, seed=3)
    (own, kept), (of_free, free) = (
        shares(refined_of("normal", weight)[1], others, "Male", STRENGTH, "normal") for weight in (1.0, 0.0)
    )
    assert kept < free - 0.01
    assert 0.75 < min(own, of_free) < max(own, of_free) < 0.95, "the strength means the same"


def test_a_face_that_keeps_its_labels_is_moved_as_far_as_it_needs():
    """A label has a part in the first attribute: without it the predictor thinks of every face as of the mean."""
    z, others = latents("normal", 4_000, seed=2), latents("normal", 500, seed=3)
    labels, of_others = (np.where(np.arange(len(rows)) % 2, 5.0, -5.0)[:, None] for rows in (z, others))
    scores = logits(z, labels)
    steepest = find(NAMES, z, scores)
    given = (labels.astype(np.float32) / 5, None)
    refined = (refine(steepest, z, known, scores, "normal", 1.0, seed=1) for known in given)
    known, unknown = (shares(moves, others, "Male", STRENGTH, "normal", of_others)[0] for moves in refined)
    assert known > 0.75
    assert unknown < known - 0.1


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_a_face_is_moved_as_it_is_edited(distribution):
    vectors = np.random.default_rng(0).standard_normal((2, 16)).astype(np.float32)
    named, z = (
        Directions(("a", "b"), vectors, np.ones(2, np.float32), np.ones(2, bool)),
        latents(distribution, 5, seed=5),
    )
    moved = move(tf.constant(z), tf.constant(np.stack([2 * vectors] * 5)), distribution)
    for index, name in enumerate(named.names):
        np.testing.assert_allclose(moved[:, index], named.edit(z, {name: 2.0}, distribution), atol=1e-5)
