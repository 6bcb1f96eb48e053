import numpy as np
import pytest

from tests.training.shards_by_tensorflow import numbered_images, numbers_of, write_shards
from training.data.shards import find
from training.metrics import space as spaces
from training.metrics.space import FeatureSpace, features_of_photos, read_rows


@pytest.fixture
def train(shard_folder):
    return find([str(shard_folder)]).only({"train"})


class Counting:
    """A feature space whose features are the numbers of the images, and how many it was asked for."""

    def __init__(self, digest="a"):
        self.asked = 0
        self.space = FeatureSpace("numbers", digest, self.features)

    def features(self, images):
        self.asked += len(images)
        return numbers_of(images)[:, None].astype(np.float32)


ROWS = np.array([3, 7, 39, 40, 41, 98])


def test_features_of_photos_are_those_of_the_rows_and_computed_once(train, shard_folder):
    counting = Counting()
    for _ in range(2):
        assert features_of_photos(train, ROWS, counting.space)[:, 0].tolist() == ROWS.tolist()
    assert counting.asked == 6
    [kept] = (shard_folder / "features").iterdir()
    assert kept.name.startswith(f"numbers-6-of-{train.fingerprint}-")


def test_other_photos_or_rows_or_weights_are_computed_anew(train):
    features_of_photos(train, ROWS, Counting().space)
    for photos, rows, digest in ((train.first(99), ROWS, "a"), (train, ROWS + 1, "a"), (train, ROWS, "b")):
        counting = Counting(digest)
        assert features_of_photos(photos, rows, counting.space)[:, 0].tolist() == rows.tolist()
        assert counting.asked == 6


def test_a_damaged_file_is_computed_anew(train, shard_folder):
    features_of_photos(train, ROWS, Counting().space)
    (path,) = (shard_folder / "features").iterdir()
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-600] ^= 1
    for content in (b"", whole[:-100], bytes(flipped), b"rubbish"):
        path.write_bytes(content)
        assert features_of_photos(train, ROWS, Counting().space)[:, 0].tolist() == ROWS.tolist()


def test_where_nothing_can_be_kept_the_features_are_there_all_the_same(train, shard_folder, capsys):
    (shard_folder / "features").write_text("a file in the way")
    assert len(features_of_photos(train, ROWS, Counting().space)) == 6
    assert "cannot be written" in capsys.readouterr().out


def test_read_rows_finds_images_across_shards(train):
    rows = np.array([99, 0, 41, 40, 39, 75, 0])
    assert np.array_equal(read_rows(train, rows), numbered_images(100)[rows])


def test_features_go_through_in_batches(monkeypatch):
    monkeypatch.setattr(spaces, "BATCH", 3)
    sizes = []
    assert Counting().space.features(numbered_images(7), sizes.append)[:, 0].tolist() == list(range(7))
    assert sizes == [3, 3, 1]


def test_features_of_several_choices_are_kept_side_by_side(train, shard_folder):
    for _ in range(2):
        counting = Counting()
        for rows in (ROWS, ROWS[:4], ROWS + 1):
            features_of_photos(train, rows, counting.space)
    assert counting.asked == 0
    assert len(list((shard_folder / "features").iterdir())) == 3


def test_features_of_shards_in_several_folders_lie_beside_the_first(tmp_path):
    for name in ("first", "second"):
        write_shards(tmp_path / name, numbered_images(10), (10,))
    both = find([str(tmp_path / "first"), str(tmp_path / "second")])
    assert both.features_dir == both.shards[0].path.parent / "features" == tmp_path / "first" / "features"
