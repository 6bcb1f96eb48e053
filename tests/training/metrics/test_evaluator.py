import numpy as np
import pytest
from click import UsageError

from tests.training.shards_by_tensorflow import write_shards
from training.data.shards import find
from training.metrics import METRICS, OF_NO_WEIGHTS
from training.metrics.evaluator import Evaluator
from training.metrics.space import FeatureSpace


def faces(count, seed, spread=20):
    """Drawn "faces" of 16x16: a ramp of random slope, brightness and grain."""
    rng = np.random.default_rng(seed)
    slope, level = rng.normal(0, 3, (2, count, 1, 1, 1))
    ramp = np.arange(16)[None, :, None, None] - 8
    grain = rng.normal(0, spread, (count, 16, 16, 1))
    return np.clip(128 + 10 * level + slope * ramp + grain, 0, 255).astype(np.uint8)


def statistics(images):
    """Features for the tests: brightness, slope, contrast."""
    pixels = images.astype(np.float32)
    slope = pixels[:, 8:].mean(axis=(1, 2, 3)) - pixels[:, :8].mean(axis=(1, 2, 3))
    return np.stack([pixels.mean(axis=(1, 2, 3)), slope, pixels.std(axis=(1, 2, 3))], axis=1)


SPACE = FeatureSpace("statistics", "0", statistics)


@pytest.fixture
def photos(tmp_path):
    write_shards(tmp_path / "data", faces(130, 0), (70, 60))
    write_shards(tmp_path / "data", faces(60, 1), (60,), split="valid")
    return find([str(tmp_path / "data")]).divide("train")


def test_the_smallest_split_decides_the_count(photos):
    assert Evaluator(*photos, SPACE).count == 60
    assert Evaluator(photos[0].first(90), photos[1], SPACE).count == 45
    assert Evaluator(*photos, SPACE, count=30).count == 30
    assert {len(sample.images) for sample in Evaluator(*photos, SPACE).real.values()} == {60}
    with pytest.raises(ValueError, match="60 faces"):
        Evaluator(*photos, SPACE).sample_of(faces(59, 2))


def test_too_few_photos_are_refused(photos):
    with pytest.raises(UsageError, match="5 photos are too few"):
        Evaluator(*photos, SPACE, count=5)
    assert Evaluator(*photos, SPACE, count=6).count == 6


def test_memorised_photos_are_told_by_train_against_held_out(photos):
    evaluator = Evaluator(*photos, SPACE)
    copied = evaluator.score(evaluator.real["train"])
    assert copied["train"]["swd"] == 0
    assert copied["train"]["frechet"] < 1e-6 < copied["held_out"]["frechet"]
    assert copied["train"]["coverage"] == copied["train"]["precision"] == 1


def test_every_metric_prefers_good_faces_to_bad_ones(photos):
    evaluator = Evaluator(*photos, SPACE)
    good, bad = (evaluator.score(evaluator.sample_of(faces(60, 3, spread))) for spread in (20, 60))
    for split in ("train", "held_out"):
        for name in OF_NO_WEIGHTS:
            metric = METRICS[name]
            of_good, of_bad = good[split][name], bad[split][name]
            assert (of_good < of_bad) if metric.lower_is_better else (of_good > of_bad), name


def test_one_repeated_face_is_precise_and_recalls_and_covers_nothing(photos):
    evaluator = Evaluator(*photos, SPACE)
    repeated = np.repeat(evaluator.real["train"].images[:1], 60, axis=0)
    scores = evaluator.score(evaluator.sample_of(repeated))["train"]
    assert scores["precision"] == 1
    assert max(scores["recall"], scores["coverage"]) < 0.2


def test_the_floor_is_of_as_many_training_photos_that_faces_are_not_compared_with(photos):
    first, again = (Evaluator(*photos, SPACE) for _ in range(2))
    compared, others = first.real["train"], first.floor_photos
    assert len(others.images) == 60
    together = np.concatenate([compared.images, others.images]).reshape(120, -1)
    assert len(np.unique(together, axis=0)) == 120, "no photo is in both"
    assert np.array_equal(others.images, again.floor_photos.images)
    assert np.array_equal(others.features, statistics(others.images))
    assert first.figures(compared, others) == first.score(others)["train"]


def test_the_photos_of_every_figure_ever_taken_are_chosen_by_seed_zero(photos):
    """Another choice would give other figures for the same generator: those of the docs would not compare."""
    rows = np.sort(np.random.default_rng(0).choice(130, 30, replace=False))
    chosen = Evaluator(*photos, SPACE, count=30).real["train"]
    assert np.array_equal(chosen.images, faces(130, 0)[rows])
    assert np.array_equal(chosen.features, statistics(chosen.images))
