"""Stage 1 against the speed of its decoder and against other ways to the same shards. Prints a table.

python tests/benchmarks/preprocess_speed.py --source img_align_celeba.zip [--photos 202599] [--rounds 3]

Every way is run in turn, round after round, and medians are shown: on a shared machine only ratios of one run mean
something.
"""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import click
import psutil
import tutorial
from measure import enlarge, in_turn, photos_of, python, seconds, table
from PIL import Image

BOX = (25, 57, 153, 185)
SLOW_WAYS = 4_000  # photos for the ways that take long: their speed does not depend on the number


def decode_only(photos: list[bytes], kind: str = "64x64 grey") -> None:
    """The floor, from bytes in memory to pixels in memory, in one process: 64 pixels are the exact mean of 2x2."""
    for photo in photos:
        image = Image.open(io.BytesIO(photo))
        if "grey" in kind:
            image.draft("L", None)
        (image.reduce(2, BOX) if "64" in kind else image.crop(BOX)).tobytes()


def arguments(source: Path, out: object, workers: int, *options: str) -> list[object]:
    """The command of stage 1 but for Python itself."""
    return ["-m", "preprocess.run", "--source", source, "--out", out, "--workers", workers, *options]


TF_DATA = """
import sys, tensorflow as tf
files = tf.data.Dataset.list_files(sys.argv[1] + "/*.jpg", shuffle=False)
def pixels(path):
    image = tf.io.decode_jpeg(tf.io.read_file(path), channels=1)[57:185, 25:153]
    return path, tf.cast(tf.round(tf.image.resize(image, (64, 64), "area")), tf.uint8)
images = files.map(pixels, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
def feature(value): return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
writer = None
for number, (path, image) in enumerate(images.as_numpy_iterator()):
    if number % 4096 == 0:
        writer = tf.io.TFRecordWriter(f"{sys.argv[2]}/train-{number // 4096:05d}.tfrecord")
    features = {"image": feature(image.tobytes()), "image_id": feature(path.rsplit(b"/", 1)[-1])}
    writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
writer.close()
"""

TFDS = """
import sys, pathlib, numpy as np, tensorflow_datasets as tfds
from PIL import Image
class Faces(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    def _info(self):
        features = {"image": tfds.features.Tensor(shape=(64, 64, 1), dtype=np.uint8, encoding="bytes"),
                    "image_id": tfds.features.Text()}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))
    def _split_generators(self, _):
        return {"train": self._generate_examples()}
    def _generate_examples(self):
        for path in sorted(pathlib.Path(sys.argv[1]).glob("*.jpg")):
            image = Image.open(path)
            image.draft("L", None)
            pixels = np.asarray(image.reduce(2, (25, 57, 153, 185)))[..., None]
            yield path.name, {"image": pixels, "image_id": path.name}
Faces(data_dir=sys.argv[2]).download_and_prepare()
"""


def script(text: str, *folders: object) -> None:
    """Run a Python script in a process of its own, quietly."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:  # a tfds builder wants a file that it was written in
        file.write(text)
        file.flush()
        python(file.name, *folders)


def run_command(source: Path, workers: int, *options: str) -> None:
    """Run stage 1 into a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as out:
        python(*arguments(source, out, workers, *options))


def peak_memory(source: Path, workers: int, *options: str) -> tuple[float, float]:
    """MB of all processes of one run together (PSS: shared pages count once), and seconds to the first shard."""
    first_shard = float("inf")
    peak = 0
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        command = [sys.executable, *map(str, arguments(source, out, workers, *options))]
        process = psutil.Popen(command, stdout=subprocess.DEVNULL)
        ended = threading.Event()
        threading.Thread(target=lambda: (process.wait(), ended.set())).start()
        while not ended.wait(0.02):
            with suppress(psutil.NoSuchProcess):  # one that has ended meanwhile
                running = [process, *process.children(recursive=True)]
                peak = max(peak, sum(each.memory_full_info().pss for each in running))
            if first_shard == float("inf") and any(Path(out).rglob("*.tfrecord")):
                first_shard = time.perf_counter() - began
    return peak / 1e6, first_shard


def report(title: str, rows: list[tuple[str, float, float]]) -> None:
    """Print photos/s and the ratio to the floor of two cores."""
    cells = [(name, f"{rate:,.0f}", f"{rate / (2 * floor):.2f}") for name, rate, floor in rows]
    print(f"\n{title}\n{table(('way', 'photos/s', 'of twice the floor'), cells)}")


@click.command()
@click.option("--source", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--photos", default=202_599, help="How many photos the large archive has; 0 leaves it out.")
@click.option("--rounds", default=3)
def main(source: Path, photos: int, rounds: int) -> None:
    """Measure stage 1."""
    in_memory = [photo for _, photo in itertools.islice(photos_of(source), SLOW_WAYS)]
    count = sum(1 for _ in photos_of(source))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "photos")
        folder.mkdir()
        for name, photo in itertools.islice(photos_of(source), SLOW_WAYS):
            (folder / Path(name).name).write_bytes(photo)

        def elsewhere(text: str) -> None:
            with tempfile.TemporaryDirectory(dir=place) as out:
                script(text, folder, out)

        ways = {
            "decoding alone, 1 process, bytes in memory (the floor)": (len(in_memory), lambda: decode_only(in_memory)),
            "preprocess.run, 1 worker": (count, lambda: run_command(source, 1)),
            "preprocess.run, 2 workers": (count, lambda: run_command(source, 2)),
            "the tutorial's loop": (len(in_memory), lambda: [tutorial.read(photo) for photo in in_memory]),
            "tf.data and TFRecordWriter": (len(in_memory), lambda: elsewhere(TF_DATA)),
            "a tfds builder": (len(in_memory), lambda: elsewhere(TFDS)),
        }
        if photos:
            large = Path(place, "large.zip")
            enlarge(source, photos, large)
            ways["preprocess.run, 2 workers, large archive"] = (photos, lambda: run_command(large, 2))
        # The slow starters pay for importing TensorFlow once; that is taken off, to compare the work alone.
        imports = {"tf.data and TFRecordWriter": "tensorflow", "a tfds builder": "tensorflow_datasets"}
        starting = in_turn(
            {name: partial(seconds, partial(script, f"import {module}")) for name, module in imports.items()}, rounds
        )
        taken = in_turn({name: partial(seconds, run) for name, (_, run) in ways.items()}, rounds)
        rates = {name: number / (taken[name] - starting.get(name, 0)) for name, (number, _) in ways.items()}
        floor = next(iter(rates.values()))
        report(
            f"{count:,} photos, {photos:,} in the large archive; medians of {rounds} rounds",
            [(name, rate, floor) for name, rate in rates.items()],
        )
        print(
            f"\nTwo workers are {rates['preprocess.run, 2 workers'] / rates['preprocess.run, 1 worker']:.2f} times one."
        )
        for name, archive in {"": source, " of the large archive": large if photos else None}.items():
            if archive:
                memory, first = peak_memory(archive, 2)
                print(f"All processes together{name}: {memory:.0f} MB; the first shard after {first:.2f} s.")
    print(f"{os.cpu_count()} cores, Pillow {Image.__version__}, Python {sys.version.split()[0]}.")


if __name__ == "__main__":
    main()
