"""The parts of the command that are functions of values."""

from dataclasses import replace

import pytest
from click import UsageError

from training import resolve, run
from training.config import Config
from training.data.shards import find
from training.presets import PRESETS

CONFIG = Config("classic", PRESETS["classic"], 0, "train", 1000, "abc", (64, 64, 1), cache=True)


@pytest.mark.parametrize(("kimg", "steps"), [(None, None), (0.064, 1), (0.065, 2), (6.4, 100), (6.401, 101)])
def test_a_length_in_photos_is_the_steps_that_have_seen_them_all(kimg, steps):
    assert resolve.steps_of(CONFIG, kimg) == steps


@pytest.mark.parametrize(("here", "asked", "advised"), [(10, 4, 2), (12, 8, 6), (7, 5, 1), (6, 20, 6)])
def test_a_micro_batch_that_does_not_divide_is_answered_with_the_largest_that_does(here, asked, advised):
    with pytest.raises(UsageError, match=rf"--micro-batch {asked} does not divide .* Use --micro-batch {advised}\."):
        resolve.check_micro_batch(here, asked)


def test_photos_are_divided_by_split_and_cut_at_the_limit(shard_folder):
    shards = find([str(shard_folder)])
    train_shards, held_out = resolve.split_shards(shards, "train", None)
    assert (train_shards.count, held_out.count) == (100, 20)
    assert resolve.split_shards(shards, "train", 60)[0].count == 60
    assert resolve.split_shards(shards, "all", None)[0].count == 120
    with pytest.raises(UsageError, match="No test shards among those given, only train, valid"):
        resolve.split_shards(shards, "test", None)


def test_the_photos_are_described_with_the_memory_that_they_take(shard_folder):
    train_shards, held_out = resolve.split_shards(find([str(shard_folder)]), "train", None)
    assert run.describe_photos(train_shards, held_out, CONFIG) == (
        "Training on 100 photos (train); kept for evaluation: 20 valid.\n"
        "Decoded photos are kept in memory (0 MB)."
    )  # fmt: skip
    streamed = run.describe_photos(train_shards, train_shards.first(0), replace(CONFIG, cache=False))
    assert streamed.endswith(
        "kept for evaluation: none.\nDecoded photos are not kept: they are streamed from the shards."
    )
