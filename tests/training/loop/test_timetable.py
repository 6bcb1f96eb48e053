"""When a run does what, by its settings alone."""

from dataclasses import replace

import pytest

from training.loop.timetable import Timetable

# 95 steps in epochs of 10: the last one is half an epoch.
TIMETABLE = Timetable(total_steps=95, steps_per_epoch=10, sample_every=3, save_minutes=10, status_seconds=10)
STEPS = range(1, 96)


def steps_of(condition):
    return [step for step in STEPS if condition(step)]


def test_epochs_end_after_their_steps_and_with_the_run():
    assert steps_of(TIMETABLE.ends_epoch) == [10, 20, 30, 40, 50, 60, 70, 80, 90, 95]
    assert [TIMETABLE.epoch(step) for step in (1, 10, 11, 95)] == [1, 1, 2, 10]
    assert [TIMETABLE.steps_in_epoch(step) for step in (1, 10, 11, 95)] == [1, 10, 1, 5]


def test_every_third_epoch_leaves_samples_and_so_does_the_end():
    ends = steps_of(TIMETABLE.ends_epoch)
    assert [step for step in ends if TIMETABLE.is_sampled(step)] == [30, 60, 90, 95]


@pytest.mark.parametrize(
    ("changes", "boundaries"),
    [
        ({}, {10, 20, 30, 40, 50, 60, 70, 80, 90, 95}),
        ({"save_steps": 25}, {10, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90, 95}),
        ({"score_steps": 40}, {10, 20, 30, 40, 50, 60, 70, 80, 90, 95}),
        ({"score_steps": 33}, {10, 20, 30, 33, 40, 50, 60, 66, 70, 80, 90, 95}),
    ],
)
def test_a_run_stops_to_save_where_an_epoch_ends_or_a_save_or_a_score_is_due(changes, boundaries):
    timetable = replace(TIMETABLE, **changes)
    assert set(steps_of(timetable.is_boundary)) == boundaries
    reached, step = [], 0
    while step < 95:
        step = timetable.next_boundary(step)
        reached.append(step)
    assert reached == sorted(boundaries)
    assert steps_of(timetable.is_scored) == {40: [40, 80, 95], 33: [33, 66, 95]}.get(timetable.score_steps, [])
