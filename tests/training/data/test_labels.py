import json
from dataclasses import replace

import numpy as np
import pytest
from click import UsageError

from tests.training.shards_by_tensorflow import numbered_images, write_shards
from training.data import labels
from training.data.labels import LabelFrequencies
from training.data.shards import find

NAMES = ("Male", "Smiling", "Bald")
# Of eight combinations three are found: nobody here is bald who is not male.
FREQUENCIES = LabelFrequencies(
    NAMES, np.float32([[-1, -1, -1], [-1, 1, -1], [1, 1, 1]]), np.array([60, 30, 10], np.int64)
)


@pytest.fixture
def shards(tmp_path):
    answers = np.random.default_rng(0).random((3, 100)) < [[0.5], [0.3], [0.1]]
    attributes = {"Bald": answers[2] & answers[0], "Male": answers[0], "Smiling": answers[1]}
    attributes = {name: column.astype(int) for name, column in attributes.items()}
    write_shards(tmp_path / "data", numbered_images(100), (40, 60), attributes=attributes)
    return find([str(tmp_path / "data")]), np.stack([attributes[name] for name in NAMES], axis=1)


def test_each_combination_is_counted_once(shards):
    labelled, answers = shards
    counted = labels.count_labels(labelled, NAMES)
    combinations, photos = np.unique(answers, axis=0, return_counts=True)
    order = np.lexsort(counted.combinations.T[::-1])
    np.testing.assert_array_equal(counted.combinations[order], 2 * combinations - 1)
    np.testing.assert_array_equal(counted.photos[order], photos)
    assert counted.names == NAMES


def test_labels_are_drawn_as_often_as_the_photos_have_them_together():
    drawn = FREQUENCIES.draw(10_000, 0)
    assert (drawn.dtype, drawn.shape) == (np.float32, (10_000, 3))
    shares = [(drawn == combination).all(axis=1).mean() for combination in FREQUENCIES.combinations]
    np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=0.02)  # four standard errors


def test_the_labels_of_a_seed_begin_alike_for_any_count():
    np.testing.assert_array_equal(FREQUENCIES.draw(5, 3), FREQUENCIES.draw(50, 3)[:5])
    assert not np.array_equal(FREQUENCIES.draw(50, 3), FREQUENCIES.draw(50, 4))


def test_what_is_given_is_so_and_the_rest_is_as_among_photos_of_which_it_is_true():
    drawn = FREQUENCIES.draw(3_000, 0, {"Smiling": True})
    assert set(map(tuple, drawn)) == {(-1, 1, -1), (1, 1, 1)}
    assert np.mean(drawn[:, 0] < 0) == pytest.approx(0.75, abs=0.03)
    assert set(map(tuple, FREQUENCIES.draw(100, 0, {"Bald": True, "Male": True}))) == {(1, 1, 1)}


def test_what_no_photo_has_is_drawn_all_the_same():
    drawn = FREQUENCIES.draw(1_000, 0, {"Bald": True, "Male": False})
    assert set(map(tuple, drawn)) == {(-1, -1, 1), (-1, 1, 1)}
    assert np.mean(drawn[:, 1] < 0) == pytest.approx(0.6, abs=0.06)


def test_they_are_the_same_after_loading(tmp_path):
    labels.save(tmp_path, FREQUENCIES)
    loaded = labels.load(tmp_path)
    assert loaded.names == NAMES
    np.testing.assert_array_equal(loaded.combinations, FREQUENCIES.combinations)
    np.testing.assert_array_equal(loaded.photos, FREQUENCIES.photos)
    assert json.loads((tmp_path / "labels.json").read_text())["photos"]["010"] == 30
    np.testing.assert_array_equal(loaded.draw(20, 1), FREQUENCIES.draw(20, 1))


# Photos in folders; rabbits, the fourth kind of photos, are no condition.
ANIMALS = LabelFrequencies(
    ("cats", "dogs", "Tame", "hens"),
    np.float32([[1, -1, 1, -1], [-1, 1, -1, -1], [-1, -1, 1, 1], [-1, -1, -1, -1]]),
    np.array([1, 1, 1, 1], np.int64),
    ("cats", "dogs", "hens"),
)
ONE_FOR_EACH = replace(ANIMALS, combinations=ANIMALS.combinations[:3], photos=ANIMALS.photos[:3])


@pytest.mark.parametrize(
    ("frequencies", "given", "completed"),
    [
        (ANIMALS, "cats=1", "cats=1 dogs=0 hens=0"),
        (ANIMALS, "cats=0 Tame=1", "cats=0 Tame=1"),
        (ANIMALS, "cats=0 dogs=0 hens=0", "cats=0 dogs=0 hens=0"),
        (ONE_FOR_EACH, "dogs=1 Tame=1", "dogs=1 Tame=1 cats=0 hens=0"),
        (ONE_FOR_EACH, "cats=0 hens=0", "cats=0 hens=0 dogs=1"),
        (FREQUENCIES, "Bald=1 Male=0", "Bald=1 Male=0"),
    ],
)
def test_where_one_exclusive_attribute_holds_no_other_does(frequencies, given, completed):
    assert frequencies.completed(answers(given)) == answers(completed)


@pytest.mark.parametrize(
    ("frequencies", "given", "message"),
    [
        (ANIMALS, "cats=1 hens=1", "No photo has cats=1,hens=1: at most one"),
        (ONE_FOR_EACH, "Tame=1 cats=0 dogs=0 hens=0", "No photo has cats=0,dogs=0,hens=0: exactly one"),
    ],
)
def test_what_exclusive_attributes_rule_out_is_refused(frequencies, given, message):
    with pytest.raises(UsageError, match=message):
        frequencies.completed(answers(given))


def answers(text):
    return {name: answer == "1" for name, answer in (word.split("=") for word in text.split())}


def test_exclusive_are_those_of_the_shards_that_are_conditions(shards, tmp_path):
    path = tmp_path / "data/manifest.json"
    saved = json.loads(path.read_text())
    path.write_text(json.dumps(saved | {"exclusive_attributes": ["Bald", "Male"]}))
    labelled = find([str(tmp_path / "data")])
    counted = labels.count_labels(labelled, NAMES)
    assert set(counted.exclusive) == {"Bald", "Male"}
    assert not labels.count_labels(labelled, NAMES[:2]).exclusive, "one alone excludes nothing"
    labels.save(tmp_path, counted)
    assert labels.load(tmp_path).exclusive == counted.exclusive
    labels.save(tmp_path, labels.count_labels(shards[0], NAMES))
    assert json.loads((tmp_path / "labels.json").read_text()).keys() == {"names", "photos"}


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "[]",
        '{"names": ["Male"]}',
        '{"names": ["Male"], "photos": {"x": 1}}',
        '{"names": ["Male"], "photos": {}}',
        '{"names": ["Male"], "photos": {"01": 3}}',
    ],
)
def test_a_damaged_file_is_one_message_that_names_it(tmp_path, content):
    if content is not None:
        (tmp_path / "labels.json").write_text(content)
    with pytest.raises(UsageError, match=r"labels\.json cannot be read.*Continue the run"):
        labels.load(tmp_path)
