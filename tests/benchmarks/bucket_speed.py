"""Stage 1 on a bucket against stage 1 on a disk: speed, processor time and memory. Prints two tables.

python tests/benchmarks/bucket_speed.py --source img_align_celeba.zip [--latency 0.03] [--listed 1000000] [--rounds 3]

The bucket is tests/bucket_server.py on loopback, in this process: it uses the same cores, so processor time says more
than photos/s.
"""

from __future__ import annotations

import os
import sys
import tempfile
from functools import partial
from pathlib import Path

import click
from measure import cpu_seconds_of_ended, in_turn, photos_of, python, spent, table

from tests.bucket_server import Answer, Bucket, environment, serving

# Lists a prefix and plans its shards; what that takes in the memory of the process, in bytes a photo, goes to a file.
LISTING = """
import gc, sys
from pathlib import Path
from preprocess.crop import parse
from preprocess.shard import Folder
from preprocess.sources import open_source
from preprocess.work import Settings, Work, annotate
from system.objects import Url

def used():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

list(Url("s3://bucket/none").list())  # obstore is there, and what it needs
before, settings = used(), Settings(None, None, parse("progan"), 4096, None, 0, "name", "faces")
source = open_source([Url("s3://bucket/photos")])
work = Work(annotate(source.list(), settings), source, settings, Folder(Path()))
Path(sys.argv[1]).write_text(str((used() - before) / sum(map(len, work.planned.values()))))
"""


class Simulated(Bucket):
    """Lists `count` photos that are not there."""

    count = 0

    def _served(self, method, key, query, headers, body, stale) -> Answer:
        if method != "LIST" or not key.endswith("photos/"):
            return super()._served(method, key, query, headers, body, stale)
        first = int(query.get("continuation-token", ["0"])[0])
        last = min(first + 1000, self.count)
        contents = "".join(
            f"<Contents><Key>photos/{number:08}.jpg</Key><LastModified>2026-11-28T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{number:032x}&quot;</ETag><Size>7000</Size></Contents>"
            for number in range(first, last)
        )
        more = f"<NextContinuationToken>{last}</NextContinuationToken>" if last < self.count else ""
        is_cut = str(bool(more)).lower()
        text = f"<ListBucketResult><IsTruncated>{is_cut}</IsTruncated>{more}{contents}</ListBucketResult>"
        return Answer(200, text.encode())


@click.command()
@click.option("--source", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--latency", default=0.03, help="Seconds before each answer.")
@click.option("--listed", default=1_000_000, help="Photos of the simulated listing; 0 leaves it out.")
@click.option("--workers", default=2)
@click.option("--rounds", default=3)
def main(source: Path, latency: float, listed: int, workers: int, rounds: int) -> None:
    """Measure stage 1 on a bucket."""
    with serving() as bucket, tempfile.TemporaryDirectory() as place:
        os.environ |= environment(bucket)
        photos = dict(photos_of(source))
        bucket.objects = {f"bucket/photos/{name}": photo for name, photo in photos.items()}
        bucket.objects |= {"bucket/archive/photos.zip": source.read_bytes()}
        bucket.latency = latency
        fresh = iter(range(10**6))
        ways = {
            "zip on a disk to a folder": (source, f"{place}/"),
            "zip on a disk to a bucket": (source, "s3://bucket/out"),
            "zip in a bucket to a folder": ("s3://bucket/archive/photos.zip", f"{place}/"),
            "objects in a bucket to a folder": ("s3://bucket/photos", f"{place}/"),
            "objects in a bucket to a bucket": ("s3://bucket/photos", "s3://bucket/out"),
        }

        def make(origin: object, out: str) -> None:
            out += str(next(fresh))
            python("-m", "preprocess.run", "--source", origin, "--out", out, "--workers", workers)

        runs = {name: partial(spent, partial(make, *way), cpu_seconds_of_ended) for name, way in ways.items()}
        rows = [
            (name, f"{len(photos) / wall:,.0f}", f"{processor / len(photos) * 1e6:.0f}")
            for name, (wall, processor) in in_turn(runs, rounds).items()
        ]
        print(f"\n{len(photos):,} photos, {workers} workers, {latency * 1e3:g} ms; medians of {rounds} rounds")
        print(table(("way", "photos/s", "us of processor a photo"), rows))
    if listed:
        rows = [listing(listed // 10), listing(listed)]
        print(f"\nListed and planned\n{table(('photos', 'bytes a photo', 'us of processor a photo'), rows)}")
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}.")


def listing(count: int) -> tuple[str, str, str]:
    """List so many simulated photos in a process of its own: a row of the table."""
    with serving(Simulated) as simulated, tempfile.TemporaryDirectory() as place:
        simulated.count = count
        os.environ |= environment(simulated)
        script, result = Path(place, "listing.py"), Path(place, "result")
        script.write_text(LISTING)
        _, processor = spent(lambda: python(script, result), cpu_seconds_of_ended)
        return f"{count:,}", f"{float(result.read_text()):.0f}", f"{processor / count * 1e6:.0f}"


if __name__ == "__main__":
    main()
