"""Which photo goes into which shard."""

from hypothesis import given
from hypothesis import strategies as st

from preprocess.plan import SPLITS, Part, ShardSpec, plan

ids = st.lists(st.integers(0, 10**6).map("{:06}.jpg".format), max_size=60, unique=True)


@given(ids, st.integers(0, 2**64 - 1), st.integers(1, 70), st.data())
def test_every_photo_is_in_one_shard_of_its_split(photo_ids, seed, shard_images, data):
    partition = {photo_id: data.draw(st.sampled_from(SPLITS)) for photo_id in photo_ids}
    shards = plan(photo_ids, partition, seed, shard_images)
    assert sorted(photo_id for held in shards.values() for photo_id in held) == sorted(photo_ids)
    for split in SPLITS:
        specs = [spec for spec in shards if spec.split == split]
        sizes = [len(shards[spec]) for spec in specs]
        assert [spec.index for spec in specs] == list(range(len(specs)))
        assert {spec.count for spec in specs} <= {len(specs)}
        assert len(specs) == -(-sum(sizes) // shard_images)
        assert not sizes or (max(sizes) <= shard_images and max(sizes) - min(sizes) <= 1)
        assert all(partition[photo_id] == split for spec in specs for photo_id in shards[spec])
    assert all(held == sorted(held) for held in shards.values())


@given(ids, st.randoms())
def test_the_order_in_which_photos_are_named_does_not_matter(photo_ids, rng):
    shuffled = rng.sample(photo_ids, len(photo_ids))
    assert plan(shuffled, None, 3, 7) == plan(photo_ids, None, 3, 7)


def test_a_seed_deals_them_differently():
    photo_ids = [f"{n:06}.jpg" for n in range(100)]
    assert plan(photo_ids, None, 0, 10) != plan(photo_ids, None, 1, 10)


def test_it_deals_as_it_always_did():
    # Other shards than these would be other data under the same settings: raise manifests.FORMAT with them.
    assert plan(["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"], None, 0, 3) == {
        ShardSpec("train", 0, 2): ["a.jpg", "e.jpg"],
        ShardSpec("train", 1, 2): ["b.jpg", "c.jpg", "d.jpg"],
    }


def test_the_name_is_the_one_that_tfds_knows():
    assert ShardSpec("train", 3, 40).name == "train-00003-of-00040.tfrecord"


@given(st.integers(0, 40), st.integers(1, 12))
def test_every_shard_is_in_one_part_and_parts_are_alike(shards, count):
    parts = [Part(number, count) for number in range(1, count + 1)]
    held = [part.of(range(shards)) for part in parts]
    assert sorted(shard for of_part in held for shard in of_part) == list(range(shards))
    assert max(map(len, held)) - min(map(len, held)) <= 1
    for part, of_part in zip(parts, held, strict=True):
        assert parts[0].unfinished(range(shards), set(range(shards)) - set(of_part)) == [part.number] * bool(of_part)
