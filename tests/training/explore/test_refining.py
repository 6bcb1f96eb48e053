"""On scores that are known: what they say of a face that is moved is computed, not predicted."""

from functools import cache

import numpy as np
import pytest
import tensorflow as tf

from training.explore.directions import Directions, find
from training.explore.refining import STRENGTH, move, refine

RNG = np.random.default_rng(0)
NAMES = ("Male", "No_Beard", "Smiling", "by_chance")
TRUE = RNG.standard_normal((3, 16))
TRUE[1] = TRUE[0] + 0.7 * TRUE[1]  # goes with the first


def latents(distribution, count=4_000):
    draw = RNG.standard_normal if distribution == "normal" else lambda size: RNG.uniform(-1, 1, size)
    return draw((count, 16)).astype(np.float32)


def logits(z):
    """Bent, as those of faces are, and the last has nothing to do with z."""
    places = z @ TRUE.T
    bent = places + 0.3 * places**2 / np.abs(places).max() - [0.0, 1.0, 2.0]
    chance = np.random.default_rng(1).standard_normal((len(z), 1))
    return np.concatenate([bent, chance], axis=1).astype(np.float32)


def shares(moves, z, name, strength, distribution):
    """How many of the answers change where faces get the attribute, or lose it: the own, the mean of the others."""
    before, index = logits(z) > 0, moves.names.index(name)
    signs = np.where(before[:, index], -1.0, 1.0)
    moved = np.concatenate(
        [moves.edit(row[None], {name: sign * strength}, distribution) for row, sign in zip(z, signs, strict=True)]
    )
    changed = ((logits(moved) > 0) != before).mean(axis=0)
    return changed[index], np.delete(changed, index).mean()


@cache
def found(distribution, keeps_others):
    """The steepest directions, and what becomes of them."""
    z = latents(distribution)
    steepest = find(NAMES, z, logits(z))
    return steepest, refine(steepest, z, logits(z), distribution, keeps_others, seed=1)


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_most_faces_change_their_answer_and_the_others_change_less_than_along_the_steepest(distribution):
    others = latents(distribution, 500)
    steepest, refined = found(distribution, 1.0)
    assert refined.names == NAMES
    np.testing.assert_array_equal(refined.accuracies, steepest.accuracies)
    for name in NAMES[:3]:
        own, kept = shares(refined, others, name, STRENGTH, distribution)
        assert 0.75 < own < 0.97
        strengths = np.arange(0.25, 6, 0.25)
        reached = (shares(steepest, others, name, strength, distribution) for strength in strengths)
        assert kept < next(rest for share, rest in reached if share >= own) - 0.01
    lengths = np.linalg.norm(STRENGTH * refined.vectors, axis=1)
    assert lengths.max() < 4 + 1e-4, "what z does not decide ends somewhere"


def test_what_else_changes_is_of_no_account_on_request():
    others = latents("normal", 500)
    kept, free = (shares(found("normal", weight)[1], others, "Male", 3, "normal")[1] for weight in (1.0, 0.0))
    assert kept < free - 0.01


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_a_face_is_moved_as_it_is_edited(distribution):
    vectors = RNG.standard_normal((2, 16)).astype(np.float32)
    named, z = Directions(("a", "b"), vectors, np.ones(2, np.float32)), latents(distribution, 5)
    moved = move(tf.constant(z), tf.constant(np.stack([2 * vectors] * 5)), distribution)
    for index, name in enumerate(named.names):
        np.testing.assert_allclose(moved[:, index], named.edit(z, {name: 2.0}, distribution), atol=1e-5)
