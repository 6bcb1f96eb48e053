"""The peak memory of training on few and on many photos. Prints a table.

python tests/benchmarks/training_memory.py --source img_align_celeba.zip [--photos 200000] [--kimg 20]

What is measured is the peak of resident memory of a whole process, from its start to its end. Streamed photos wait in
a shuffle buffer of 16,384; `--kimg` is more than that, so that all of it has been filled and drawn from.
Goal: 200,000 photos take at most 1.05 times the memory of 16,000.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from measure import ROOT, enlarge, python, table

FEW = 16_000
TUTORIAL_BYTES = 64 * 64 * 8  # a photo as float64


def training_mb(archive: Path, kimg: float, place: Path) -> float:
    """Peak memory of training on a zip's photos, streamed from shards."""
    shards, run = place / f"shards-{archive.stem}", place / f"run-{archive.stem}"
    python("-m", "preprocess.run", "--source", archive, "--out", shards)
    return python("-m", "training.run", "--shards", shards, "--cache", "none", "--kimg", kimg, "--out", run)


def tutorial_mb(archive: Path, count: int) -> float:
    """Peak memory of the tutorial's loop, which has all photos in one array."""
    return python(ROOT / "tests/benchmarks/tutorial.py", "--source", archive, "--photos", count, "--steps", 20)


@click.command()
@click.option("--source", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--photos", default=200_000, help="How many photos the large set has.")
@click.option("--kimg", default=20.0, help="Thousands of images that each training sees.")
def main(source: Path, photos: int, kimg: float) -> None:
    """Measure the memory of stage 2."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        small, large = place / "few.zip", place / "many.zip"
        enlarge(source, FEW, small)
        enlarge(source, photos, large)
        few, many = (training_mb(archive, kimg, place) for archive in (small, large))
        tutorial = tutorial_mb(small, FEW)
    computed = tutorial + (photos - FEW) * TUTORIAL_BYTES / 1e6
    rows = [
        ("`training.run --cache none`", f"{few:,.0f} MB", f"{many:,.0f} MB", f"{many / few:.2f}"),
        ("the tutorial's loop", f"{tutorial:,.0f} MB", f"{computed:,.0f} MB (computed)", f"{computed / tutorial:.2f}"),
    ]
    print(f"\nPeak memory of a process that trains; {kimg:g} thousand images seen (goal of the ratio: 1.05 at most)")
    print(table(("training on", f"{FEW:,} photos", f"{photos:,} photos", "ratio"), rows))


if __name__ == "__main__":
    main()
