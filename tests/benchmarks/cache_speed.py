"""Shards from a bucket, through the cache, against shards on a disk: images/s and processor time. Prints a table.

python tests/benchmarks/cache_speed.py --source img_align_celeba.zip [--count 100000] [--rounds 3]

The bucket is tests/bucket_server.py on loopback, in a process of its own. Goals: from a warm cache within 5 percent of
a disk in processor time an image; from a cold one as fast as the shards alone are downloaded. Each way reads an epoch
of batches and does nothing with them.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# isort: split
import click
import numpy as np
from measure import enlarge, python, spent, table

from tests.bucket_server import environment, serving
from training.data.cache import ShardCache
from training.data.pipeline import batches
from training.data.shards import ShardSet, find
from training.loop.machine import this_machine

BATCH = 64
URL = "s3://bucket/data"
LIMIT = 100_000_000_000


def serve(folder: Path, connection: multiprocessing.connection.Connection) -> None:
    """Serve the files of a folder until the process is ended; send the variables by which a client finds them."""
    with serving() as bucket:
        bucket.objects = {f"bucket/data/{path.name}": path.read_bytes() for path in folder.iterdir() if path.is_file()}
        connection.send(environment(bucket))
        connection.recv()


def read(shards: ShardSet) -> None:
    """Read an epoch, counted in tf.data: a loop in Python would be what is measured."""
    stream = batches(shards, BATCH, 0, 0, cache=False).take(shards.count // BATCH)
    stream.reduce(np.int64(0), lambda seen, _: seen + 1).numpy()


def download(shards: ShardSet, folder: Path) -> None:
    """Fetch the shards alone, as many at a time as training does."""
    cache = ShardCache(folder, LIMIT)
    cache.check([])
    wanted = [(shard.path, shard.sha256, shard.manifest.entries[shard.path.name]["bytes"]) for shard in shards.shards]
    with ThreadPoolExecutor(4) as threads:
        for file in threads.map(lambda shard: cache.hold(*shard), wanted):
            file.close()


@click.command()
@click.option("--source", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--count", default=100_000, help="Photos: those of the zip, over and over.")
@click.option("--rounds", default=3)
def main(source: Path, count: int, rounds: int) -> None:
    """Measure what the cache of shards costs."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    with tempfile.TemporaryDirectory() as place:
        photos, folder, kept = (Path(place, name) for name in ("photos.zip", "shards", "cache"))
        enlarge(source, count, photos)
        python("-m", "preprocess.run", "--source", photos, "--out", folder)
        server = spawn.Process(target=serve, args=(folder, there), daemon=True)
        server.start()
        os.environ |= here.recv()

        def at_url() -> ShardSet:
            return find([URL], cache=ShardCache(kept, LIMIT))

        local = find([folder])
        read(local)
        taken: dict[str, list[tuple[float, float]]] = {}
        for _ in range(rounds):
            shutil.rmtree(kept, ignore_errors=True)
            cold, warm = at_url(), at_url()
            ways: dict[str, Callable[[], object]] = {
                "a disk": lambda: read(local),
                "a cold cache": lambda cold=cold: read(cold),
                "a warm cache, hashed at a process's first use": lambda warm=warm: read(warm),
                "a warm cache, later": lambda warm=warm: read(warm),
                "the download alone": lambda warm=warm: download(warm, Path(place, "alone")),
            }
            for name, act in ways.items():
                taken.setdefault(name, []).append(spent(act, time.process_time))
            shutil.rmtree(Path(place, "alone"))
        here.send(None)
    print(f"\n{local.count:,} photos in {len(local.shards)} shards; medians of {rounds} rounds\n")
    rows = []
    for name, results in taken.items():
        wall, processor = np.median(results, axis=0)
        rows.append((name, f"{local.count / wall:,.0f}", f"{processor / local.count * 1e6:.1f}"))
    print(table(("from", "images/s", "us of processor an image"), rows))
    print(f"\n{this_machine()}.")


if __name__ == "__main__":
    main()
