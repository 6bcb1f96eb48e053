"""Stage 2 against its own step without input, against other ways to train the same networks, and against bare reading.

python tests/benchmarks/training_speed.py --source img_align_celeba.zip [--steps 60] [--rounds 3]

Prints two tables. Goals, as ratios of medians; every way is run in turn, round after round:

- training.run on streamed shards: 0.95 of its own step on one batch that stays in memory, 1.15 times the tutorial's
  loop, and as fast as keras.Model.fit with a train_step of its own; same networks, batch and machine.
- bfloat16: 1.2 times float32, on a CPU that has AVX512-BF16. XLA has no goal: the table says whether it pays.
- Shards to global batches alone: 150,000 images/s on two cores.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import click
import keras
import numpy as np
import tensorflow as tf
import tutorial
from measure import in_turn, python, seconds, table

from training import engine, strategy
from training.config import Config
from training.pipeline import batches, read_images
from training.presets import PRESETS
from training.shards import ShardSet, find

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

GOALS = (
    (STREAMED, CONSTANT, "0.95"),
    (IN_MEMORY, CONSTANT, "0.95"),
    (STREAMED, TUTORIAL, "1.15"),
    (STREAMED, FIT, "1.00"),
    (BFLOAT16, STREAMED, "1.20"),
    (JIT, STREAMED, ""),
)


def rate_of_run(shards: Path, steps: int, *options: str) -> float:
    """Images/s of the command as a user types it, in steady state.

    Its first line of status has the compilation, its last the drawing of faces at the end of the run.
    """
    with tempfile.TemporaryDirectory() as place:
        run = Path(place, "run")
        length = ("--kimg", (steps + 4) * BATCH / 1000, "--batch-size", BATCH, "--status-seconds", 1)
        python("-m", "training.run", "--shards", shards, "--out", run, "--strategy", "one", *length, *options)
        lines = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()[:-1]]
    spent = [(after["kimg"] - before["kimg"]) / after["images_per_second"] for before, after in pairwise(lines)]
    return (lines[-1]["kimg"] - lines[0]["kimg"]) / sum(spent)


def on_constant_batch(shards: ShardSet, images: np.ndarray) -> Callable[[int], object]:
    """The steps of training.run, compiled as it compiles them, on the same batch again and again."""
    devices = strategy.choose("one")
    config = Config("classic", PRESET, 0, "train", shards.count, shards.fingerprint, shards.image_shape, cache=True)
    gan, progress = engine.build_on(devices, config)
    run_steps = engine.compile_steps(gan, progress, config, devices)
    iterator = devices.batches(tf.data.Dataset.from_tensors(images[:BATCH]).repeat())
    return lambda steps: run_steps(iterator, tf.constant(steps, tf.int64)).numpy()


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
    here = {
        CONSTANT: on_constant_batch(learnt, images),
        FIT: by_fit(images),
        TUTORIAL: tutorial.trainer(images / 255.0),
    }
    for train in here.values():
        train(2)  # compiles
    commands = {
        STREAMED: ("--cache", "none"),
        IN_MEMORY: ("--cache", "ram"),
        BFLOAT16: ("--cache", "none", "--precision", "bfloat16"),
        JIT: ("--cache", "none", "--jit"),
    }
    ways = {name: partial(rate_of_run, shards, steps, *options) for name, options in commands.items()}
    ways |= {name: lambda train=train: steps * BATCH / seconds(partial(train, steps)) for name, train in here.items()}
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
    print(
        f"\nTraining `classic` on {learnt.count:,} photos, batch {BATCH}; medians of {rounds} rounds of {steps} steps"
    )
    print(table(("way", "images/s"), [(name, f"{rate:,.0f}") for name, rate in training.items()]))
    print("\n" + table(("way", "against", "ratio", "goal"), ratios(training)))
    bare = next(iter(reading.values()))
    rows = [(name, f"{rate:,.0f}", f"{rate / bare:.2f}") for name, rate in reading.items()]
    print("\nReading (goal: 150,000 images/s)\n" + table(("way", "images/s", "of bare reading"), rows))
    print(f"\n{os.cpu_count()} cores, TensorFlow {tf.__version__}, Keras {keras.__version__}.")


if __name__ == "__main__":
    main()
