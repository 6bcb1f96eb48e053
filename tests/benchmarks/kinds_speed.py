"""Both stages on shards of other sizes and colors, each against its own floor. Prints a table.

python tests/benchmarks/kinds_speed.py --source img_align_celeba.zip [--rounds 3]

The floor of stage 1 is decoding and cropping alone, in one process, from bytes in memory; two workers could make
twice of it. The floor of stage 2 is a bare `TFRecordDataset` in batches. Memory is the peak of all processes of stage
1 together, shared pages counted once.
"""

from __future__ import annotations

import itertools
import tempfile
from functools import partial
from pathlib import Path

import click
from measure import in_turn, photos_of, python, seconds, table
from preprocess_speed import arguments, decode_only, peak_memory, run_command
from training_speed import reading_rates

from training.data.shards import find
from training.loop.machine import this_machine

KINDS = {
    "64x64 grey": (),
    "64x64 RGB": ("--color", "rgb"),
    "128x128 grey": ("--size", "128"),
    "128x128 RGB": ("--size", "128", "--color", "rgb"),
}
IN_MEMORY = 4_000  # photos of the floor
HEAD = ("shards", "bytes a photo", "stage 1, photos/s", "of twice its floor", "peak MB", "stage 2, images/s", "of bare")


@click.command()
@click.option("--source", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--rounds", default=3)
def main(source: Path, rounds: int) -> None:
    """Measure shards of every kind."""
    count = sum(1 for _ in photos_of(source))
    photos = [photo for _, photo in itertools.islice(photos_of(source), IN_MEMORY)]
    ways = {}
    for kind, options in KINDS.items():
        ways["floor", kind] = partial(seconds, partial(decode_only, photos, kind))
        ways["run", kind] = partial(seconds, partial(run_command, source, 2, *options))
    taken = in_turn(ways, rounds)
    rows = []
    for kind, options in KINDS.items():
        with tempfile.TemporaryDirectory() as place:
            memory, _ = peak_memory(source, 2, *options)
            python(*arguments(source, place, 2, *options))
            shards = find([place])
            bare, streamed, _ = reading_rates(shards, rounds).values()
        rate, floor = count / taken["run", kind], len(photos) / taken["floor", kind]
        of_floor, of_bare = f"{rate / (2 * floor):.2f}", f"{streamed / bare:.2f}"
        figures = [f"{figure:,.0f}" for figure in (shards.image_bytes, rate, memory, streamed)]
        rows.append((kind, *figures[:2], of_floor, *figures[2:], of_bare))
    print(f"{count:,} photos; medians of {rounds} rounds; {this_machine()}.\n\n{table(HEAD, rows)}")


if __name__ == "__main__":
    main()
