"""Which photo goes into which shard: a pure function of ids, partition, seed and shard size."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

SPLITS = ("train", "valid", "test")

T = TypeVar("T")


@dataclass(frozen=True)
class ShardSpec:
    """Which shard this is: number `index` of the `count` shards of `split`."""

    split: str
    index: int
    count: int

    @property
    def name(self) -> str:
        """The shard's file name; the form that tfds and TensorFlow know."""
        return f"{self.split}-{self.index:05d}-of-{self.count:05d}.tfrecord"


@dataclass(frozen=True)
class Part:
    """Part `number`, from 1, of the `count` in which the shards of a folder are made."""

    number: int
    count: int

    def of(self, specs: Iterable[T]) -> list[T]:
        """Return every `count`-th: parts differ by one shard at most, whatever the splits."""
        return list(specs)[self.number - 1 :: self.count]

    def unfinished(self, specs: Iterable[T], done: Collection[T]) -> list[int]:
        """Return the number of each part that has other shards than those that are `done`."""
        return sorted({index % self.count + 1 for index, spec in enumerate(specs) if spec not in done})


def plan(
    photo_ids: Iterable[str], partition: Mapping[str, str] | None, seed: int, shard_images: int
) -> dict[ShardSpec, list[str]]:
    """Return the ids of each shard, in the order of their records. Without a partition every photo is in "train".

    Photos are assigned at random: sorted by a hash keyed with `seed` (BLAKE2b, the same in every version of every
    library) and cut into the fewest shards of at most `shard_images`, whose sizes differ by at most one. Inside a
    shard they are in the order of their ids, so that a source is read forwards.
    """
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for photo_id in photo_ids:
        splits["train" if partition is None else partition[photo_id]].append(photo_id)
    shards = {}
    for split, ids in splits.items():
        shuffled = _shuffled(ids, seed)
        count = -(-len(ids) // shard_images)
        for index in range(count):
            start, end = index * len(ids) // count, (index + 1) * len(ids) // count
            shards[ShardSpec(split, index, count)] = sorted(shuffled[start:end])
    return shards


def _shuffled(ids: list[str], seed: int) -> list[str]:
    key = seed.to_bytes(8, "little")
    return sorted(
        ids, key=lambda photo_id: blake2b(photo_id.encode(), key=key, digest_size=8).digest() + photo_id.encode()
    )
