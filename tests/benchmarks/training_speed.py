"""Stage 2 against its own step without input, against other ways to train the same networks, and against bare reading.

python tests/benchmarks/training_speed.py --source img_align_celeba.zip [--steps 60] [--rounds 3]

Prints tables, and what a step asks of the cores. PyTorch is measured where it is installed: pip install torch. Goals,
as ratios of medians; every way is run in turn, round after round:

- training.run in memory: 1.7 times the same networks, batch and updates in PyTorch, eager; 1.3 times compiled by
  torch.compile; 0.45 of the multiply-adds that the cores reach in a product of large float32 matrices.

- training.run on streamed shards: 0.95 of its own step on one batch that stays in memory, 1.15 times the tutorial's
  loop, and as fast as keras.Model.fit with a train_step of its own; same networks, batch and machine.
- bfloat16: 1.2 times float32, on a CPU that has AVX512-BF16. XLA has no goal: the table says whether it pays.
- Shards to global batches alone: 150,000 images/s on two cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import measure  # first: it sets what TensorFlow reads when it is imported

# isort: split
import click
import keras
import numpy as np
import tensorflow as tf
import tutorial
from measure import in_turn, python, seconds, table

from training.batch import Batch
from training.config import Config
from training.data.pipeline import batches
from training.data.reading import read_images
from training.data.shards import ShardSet, find
from training.loop import engine, strategy
from training.loop.machine import this_machine
from training.presets import PRESETS

PRESET = PRESETS["classic"]
BATCH = PRESET.batch_size
PASSES = 10  # over the shards, where they are only read: a second or so

STREAMED = "`training.run`, streamed"
IN_MEMORY = "`training.run --cache ram`"
BFLOAT16 = "`training.run --precision bfloat16`"
JIT = "`training.run --jit`"
CONSTANT = "its step on one batch in memory"
FIT = "`keras.Model.fit` with a `train_step`"
TUTORIAL = "the tutorial's loop"
PYTORCH = "PyTorch, eager"
PYTORCH_WAYS = {PYTORCH: "eager", "PyTorch, eager, channels_last": "channels_last", "PyTorch, compiled": "compiled"}

GOALS = (
    (STREAMED, CONSTANT, "0.95"),
    (IN_MEMORY, CONSTANT, "0.95"),
    (STREAMED, TUTORIAL, "1.15"),
    (STREAMED, FIT, "1.00"),
    (BFLOAT16, STREAMED, "1.20"),
    (JIT, STREAMED, ""),
    (CONSTANT, PYTORCH, "1.70"),
    (CONSTANT, "PyTorch, eager, channels_last", ""),
    (CONSTANT, "PyTorch, compiled", "1.30"),
)


def rate_of_run(shards: Path, steps: int, *options: str) -> float:
    """Images/s of the command as a user types it, in steady state.

    Its first line of status has the compilation, its last the drawing of faces at the end of the run.
    """
    with tempfile.TemporaryDirectory() as place:
        run = Path(place, "run")
        length = ("--kimg", (steps + 4) * BATCH / 1000, "--batch-size", BATCH, "--status-seconds", 1)
        python("-m", "training.run", "--shards", shards, "--out", run, "--strategy", "one", *length, *options)
        records = map(json.loads, (run / "stats.jsonl").read_text().splitlines())
        lines = [record for record in records if record["event"] == "status"][:-1]
    spent = [(after["kimg"] - before["kimg"]) / after["images_per_second"] for before, after in pairwise(lines)]
    return (lines[-1]["kimg"] - lines[0]["kimg"]) / sum(spent)


def on_constant_batch(shards: ShardSet, images: np.ndarray) -> Callable[[int], object]:
    """The steps of training.run, compiled as it compiles them, on the same batch again and again."""
    devices = strategy.choose("one")
    config = Config("classic", PRESET, 0, "train", shards.count, shards.fingerprint, shards.image_shape, cache=True)
    gan, progress = engine.build_on(devices, config)
    run_steps = engine.compile_steps(gan, progress, config, devices)
    iterator = devices.batches(tf.data.Dataset.from_tensors(Batch(images[:BATCH])).repeat())
    return lambda steps: run_steps(iterator, tf.constant(steps, tf.int64)).numpy()


def rate_of_pytorch(way: str, steps: int) -> float:
    """Images/s of the same steps in PyTorch, in a process of its own.

    Raises:
        CalledProcessError: it cannot do that here.
    """
    command = [sys.executable, Path(__file__).with_name("pytorch.py"), "--way", way, "--steps", str(steps)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def pytorch_ways(steps: int) -> dict[str, Callable[[], float]]:
    """Those ways of PyTorch that work here; what does not is said."""
    if find_spec("torch") is None:
        print("PyTorch is not installed, and not measured: pip install torch")
        return {}
    ways = {}
    for name, way in PYTORCH_WAYS.items():
        try:
            rate_of_pytorch(way, 1)
        except subprocess.CalledProcessError as error:
            print(f"{name} does not work here: {error.stderr.strip().splitlines()[-1]}")
        else:
            ways[name] = partial(rate_of_pytorch, way, steps)
    return ways


def multiply_adds(network: keras.Model) -> int:
    """Of one image on its way forward through the convolutions and dense layers of a network."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.Dense)):
            is_transposed = isinstance(layer, keras.layers.Conv2DTranspose)
            positions = (layer.input.shape if is_transposed else layer.output.shape)[1:-1]
            total += int(np.prod(positions, dtype=np.int64)) * int(np.prod(layer.kernel.shape))
    return total


def multiply_adds_of_step(generator: keras.Model, discriminator: keras.Model) -> int:
    """Of one photo's share in an update of both networks, `training/models/step.py`.

    D: G forward, D forward on photo and fake, D backward twice as much, for its weights and for its maps. G: D forward
    on the fake, D backward for its maps alone, G backward twice as much as forward.
    """
    g, d = multiply_adds(generator), multiply_adds(discriminator)
    return g + 2 * d + 4 * d + d + d + 2 * g


def peak_multiply_adds(seconds_at_least: float = 2.0) -> float:
    """Multiply-adds a second of the cores, from the fastest of many products of 2048x2048 matrices in float32."""
    side = 2048
    product = tf.function(lambda a, b: tf.matmul(a, b))
    matrix = tf.random.stateless_uniform([side, side], (0, 0))
    product(matrix, matrix)
    times = []
    while sum(times) < seconds_at_least:
        times.append(seconds(lambda: product(matrix, matrix).numpy()))
    return side**3 / min(times)


ONEDNN_PROFILE = """
import sys, time
sys.path[:0] = sys.argv[2:]
import training_speed
import tensorflow as tf
tf.config.threading.set_inter_op_parallelism_threads(1)  # one kernel after the other: their times add up to the step
from training.data.reading import read_images
from training.data.shards import find
learnt = find([sys.argv[1]])
take = training_speed.on_constant_batch(learnt, read_images(learnt.first(training_speed.BATCH)))
take(5)
print("measured from here", flush=True)
began = time.perf_counter()
take(20)
print("took", time.perf_counter() - began)
"""


def onednn_profile(shards: Path) -> Iterator[tuple[str, str]]:
    """What oneDNN says that its kernels take of a step when none run side by side, as parts of the whole."""
    environment = {**measure.os.environ, "ONEDNN_VERBOSE": "1"}
    folders = [str(Path(__file__).parent), str(measure.ROOT)]
    command = [sys.executable, "-c", ONEDNN_PROFILE, str(shards), *folders]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    measured = output.partition("measured from here")[2].splitlines()
    took = float(measured[-1].split()[1])
    milliseconds = Counter[str]()
    for line in measured:
        parts = line.split(",")
        if line.startswith("onednn_verbose") and "exec" in parts:
            at = parts.index("exec")
            kind, direction = parts[at + 2], parts[at + 4]
            milliseconds[f"{kind}, {direction}" if kind == "convolution" else kind] += float(parts[-1])
    for kind, spent in milliseconds.most_common():
        yield kind, f"{spent / 1000 / took:.2f}"
    rest = 1 - sum(milliseconds.values()) / 1000 / took
    yield "everything else: element by element, batch statistics, Adam, noise", f"{rest:.2f}"


class Fitted(keras.Model):
    """A GAN for `fit`, in the shape of keras.io's DCGAN example: D on photos and fakes at once, then G on new fakes."""

    def __init__(self):
        super().__init__()
        self.generator, self.discriminator = tutorial.networks()
        self.generator.compile("adam")
        self.discriminator.compile("adam")
        self.entropy = keras.losses.BinaryCrossentropy()
        self.d_loss, self.g_loss = keras.metrics.Mean(name="d_loss"), keras.metrics.Mean(name="g_loss")

    def train_step(self, photos: tf.Tensor) -> dict[str, tf.Tensor]:
        """One update of each network."""
        real, fake = tf.ones([BATCH, 1]), tf.zeros([BATCH, 1])
        images = tf.concat([photos, self.fakes()], 0)
        with tf.GradientTape() as tape:
            loss = self.entropy(tf.concat([real, fake], 0), self.discriminator(images, training=True))
        self.update(self.discriminator, tape, loss, self.d_loss)
        with tf.GradientTape() as tape:
            loss = self.entropy(real, self.discriminator(self.fakes(), training=True))
        self.update(self.generator, tape, loss, self.g_loss)
        return {metric.name: metric.result() for metric in (self.d_loss, self.g_loss)}

    def fakes(self) -> tf.Tensor:
        """Images from new z."""
        return self.generator(tf.random.uniform([BATCH, tutorial.LATENT], -1.0, 1.0), training=True)

    def update(self, network: keras.Model, tape: tf.GradientTape, loss: tf.Tensor, mean: keras.metrics.Mean) -> None:
        """Apply one network's gradient."""
        network.optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)
        mean.update_state(loss)


def by_fit(images: np.ndarray) -> Callable[[int], object]:
    """`fit` with a train_step of its own, fed by tf.data from memory."""
    model = Fitted()
    model.compile()
    photos = tf.data.Dataset.from_tensor_slices(images).shuffle(len(images)).repeat().batch(BATCH, drop_remainder=True)
    photos = photos.map(lambda batch: tf.cast(batch, tf.float32) / 255.0, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    return lambda steps: model.fit(photos, steps_per_epoch=steps, verbose=0)


def training_rates(shards: Path, learnt: ShardSet, steps: int, rounds: int) -> dict[str, float]:
    """Images/s of every way to train, by its name."""
    images = read_images(learnt)
    own_ways = {
        CONSTANT: on_constant_batch(learnt, images),
        FIT: by_fit(images),
        TUTORIAL: tutorial.trainer(images / 255.0),
    }
    for train in own_ways.values():
        train(2)  # compiles
    commands = {
        STREAMED: ("--cache", "none"),
        IN_MEMORY: ("--cache", "ram"),
        BFLOAT16: ("--cache", "none", "--precision", "bfloat16"),
        JIT: ("--cache", "none", "--jit"),
    }
    ways = {name: partial(rate_of_run, shards, steps, *options) for name, options in commands.items()}
    ways |= {
        name: lambda train=train: steps * BATCH / seconds(partial(train, steps)) for name, train in own_ways.items()
    }
    ways |= pytorch_ways(steps)
    return in_turn(ways, rounds)


def reading_rates(shards: ShardSet, rounds: int) -> dict[str, float]:
    """Images/s of every way to read the shards, by its name."""
    count = PASSES * (shards.count // BATCH)
    files = tf.data.TFRecordDataset([str(shard.path) for shard in shards.shards])

    def rate(dataset: tf.data.Dataset) -> float:
        # Counted in tf.data: a loop in Python would be what is measured.
        return count * BATCH / seconds(lambda: dataset.take(count).reduce(np.int64(0), lambda seen, _: seen + 1))

    return in_turn(
        {
            "`TFRecordDataset` alone": lambda: rate(files.repeat().batch(BATCH)),
            "global batches, streamed": lambda: rate(batches(shards, BATCH, 0, 0, cache=False)),
            "global batches, from memory": lambda: rate(batches(shards, BATCH, 0, 0, cache=True)),
        },
        rounds,
    )


def ratios(rates: dict[str, float]) -> Iterator[tuple[str, str, str, str]]:
    """Every comparison that has a goal, or is worth a look."""
    for way, other, goal in GOALS:
        if other in rates:
            yield way, other, f"{rates[way] / rates[other]:.2f}", goal


@click.command()
@click.option("--source", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--steps", default=60, help="Steps of every way in every round.")
@click.option("--rounds", default=3)
def main(source: Path, steps: int, rounds: int) -> None:
    """Measure the speed of stage 2."""
    with tempfile.TemporaryDirectory() as place:
        shards = Path(place, "shards")
        python("-m", "preprocess.run", "--source", source, "--out", shards)
        learnt = find([str(shards)])
        reading = reading_rates(learnt, rounds)
        training = training_rates(shards, learnt, steps, rounds)
        profile = list(onednn_profile(shards))
    print(
        f"\nTraining `classic` on {learnt.count:,} photos, batch {BATCH}; medians of {rounds} rounds of {steps} steps"
    )
    print(table(("way", "images/s"), [(name, f"{rate:,.0f}") for name, rate in training.items()]))
    print("\n" + table(("way", "against", "ratio", "goal"), ratios(training)))
    of_step, peak = multiply_adds_of_step(*tutorial.networks()), peak_multiply_adds()
    print(
        f"\nA step takes {of_step / 1e6:,.0f} million multiply-adds an image: in memory "
        f"{of_step * training[CONSTANT] / 1e9:,.0f} billion a second, {of_step * training[CONSTANT] / peak:.2f} of the "
        f"{peak / 1e9:,.0f} billion of a product of large matrices (goal: 0.45). By oneDNN's own clock it goes to:"
    )
    print(table(("kernel", "part of the step"), profile))
    bare = next(iter(reading.values()))
    rows = [(name, f"{rate:,.0f}", f"{rate / bare:.2f}") for name, rate in reading.items()]
    print("\nReading (goal: 150,000 images/s)\n" + table(("way", "images/s", "of bare reading"), rows))
    print(f"\n{this_machine()}; Keras {keras.__version__}.")


if __name__ == "__main__":
    main()
