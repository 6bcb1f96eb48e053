"""Where to go on in shards that are read several at a time, block after block, after any number of records.

It follows from the counts of the shards alone: a run that is continued opens what is left of its epoch, and reads
nothing again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple


class Rest(NamedTuple):
    """What is left of an epoch. Read as a whole epoch is, it gives the records that are left, in the same order."""

    shards: list[int]  # numbers of shards, in the order in which they are dealt to the readers
    begun: list[int]  # how many records of each have been read
    cut: int  # how many records of the first block have been read besides


class _Reader:
    """Takes a block from each of its open shards in turn; the first of `open` is the next."""

    def __init__(self, shards: Sequence[int], open_shards: int):
        self.open, self.waiting = deque(shards[:open_shards]), deque(shards[open_shards:])

    def finds_records(self, left: Sequence[int]) -> bool:
        """Bring a shard that has records left to the front, where there is one.

        A shard that ends takes its turn in vain; another is opened in its place, and read at the next turn.
        """
        while self.open and not left[self.open[0]]:
            self.open.popleft()
            if self.waiting:
                self.open.append(self.waiting.popleft())
        return bool(self.open)


def rest_after(records: int, counts: Sequence[int], readers: int, open_shards: int, block: int) -> Rest:
    """Return what is left of shards of these counts after `records` records, which are not more than all.

    The order is that of `tf.data.Dataset.interleave`: shards are dealt to the readers in turn, the readers give blocks
    in turn, and each takes them from `open_shards` of its shards in turn.
    """
    left = list(counts)
    turns = deque(_Reader(range(number, len(counts), readers), open_shards) for number in range(readers))
    while records:
        reader = turns[0]
        if reader.finds_records(left):
            shard = reader.open[0]
            size = min(block, left[shard])
            if size > records:
                break
            records -= size
            left[shard] -= size
            reader.open.rotate(-1)
        turns.rotate(-1)
    # Readers have unequal numbers of shards left; a shard that is read to its end fills the gaps.
    spent = (0, counts[0])
    remaining = [[(shard, counts[shard] - left[shard]) for shard in (*of.open, *of.waiting)] for of in turns]
    dealt = [entry for row in zip_longest(*remaining, fillvalue=spent) for entry in row]
    return Rest([shard for shard, _ in dealt], [begun for _, begun in dealt], records)
