"""Steps of every preset on small images, also as a program: for processors and settings that need their own process.

python -m tests.training.every_preset PRESET ... prints a line of JSON for each: its precision, its losses, or why it
is refused.
"""

import training  # noqa: F401  # isort: skip  # before TensorFlow, as every command has it
import json
import sys
from dataclasses import replace

import click
import numpy as np
import tensorflow as tf

from training.batch import Batch
from training.config import Config
from training.loop.engine import build_on, compile_steps, means
from training.loop.machine import choose_precision
from training.loop.strategy import Devices, mirrored
from training.models.gan import for_inference
from training.models.networks import FAMILIES
from training.models.step import phases
from training.presets import PRESETS, Preset

# Those of r3gan are six times as wide as the others.
WIDTHS = {name: 0.0625 if name == "r3gan" else 0.25 for name in PRESETS}
# One preset for each generator: wgan-gp has dcgan's.
WITH_A_GENERATOR_OF_THEIR_OWN = list(
    {FAMILIES[PRESETS[name].network].generator: name for name in reversed(PRESETS)}.values()
)
OVER = Devices("any", tf.distribute.get_strategy())


def over_two() -> Devices:
    """The first two of the logical devices that conftest.py makes."""
    return Devices("mirrored", mirrored([device.name for device in tf.config.list_logical_devices("CPU")[:2]]))


def config_of(method: Preset, side: int = 8, channels: int = 1, condition: str = "") -> Config:
    return Config("any", method, 3, "train", 1000, "abc", (side, side, channels), cache=True, condition=condition)


def method_of(name: str) -> Preset:
    """The preset on narrow networks in batches of 4, in the precision that it has here."""
    method = replace(PRESETS[name], batch_size=4, width=WIDTHS[name])
    precision, _ = choose_precision(method.network, method.width, method.precision, is_given=False)
    return replace(method, precision=precision)


def take_two_rounds(method: Preset, condition: str = ""):
    """Build the networks, let each of the preset's turns happen twice; return the networks and the mean losses."""
    side = 16 if method.network == "lite" else 8  # at 8x8 it has no map that z scales
    config = config_of(method, side, condition=condition)
    gan, progress = build_on(OVER, config)
    before = [variable.numpy() for variable in variables(gan)]
    images = np.random.default_rng(0).integers(0, 256, (4, side, side, 1), dtype=np.uint8)
    labels = np.float32([[1, 1], [1, -1], [-1, 1], [1, 1]]) if condition else None
    steps = 2 * len(phases(method))  # the first moves only the zeros at the end of R3GAN's blocks
    run_steps = compile_steps(gan, progress, config, OVER)
    sums = run_steps(iter(tf.data.Dataset.from_tensors(Batch(images, labels)).repeat()), tf.constant(steps, tf.int64))
    return gan, before, means(sums.numpy(), steps)


def uneven_generator(preset: str, shape: tuple[int, int, int], conditions: int = 0):
    """A small generator of this preset, of which every weight is something: what starts at 0 would hide faults."""
    method = PRESETS[preset]
    generator = FAMILIES[method.network].generator(shape, method.latent, WIDTHS[preset], conditions)
    return unevened(generator)


def uneven_discriminator(preset: str, shape: tuple[int, int, int], conditions: int = 0):
    """The discriminator that belongs to it, as a run saves it."""
    method = PRESETS[preset]
    discriminator = FAMILIES[method.network].discriminator(shape, WIDTHS[preset], conditions, method.san)
    return for_inference(unevened(discriminator))


def unevened(network):
    random = np.random.default_rng(0)
    for weight in network.trainable_variables:
        weight.assign_add(0.05 * random.standard_normal(weight.shape).astype(np.float32))
    for weight in network.non_trainable_variables:
        if "moving" in weight.path:
            weight.assign_add(0.3 * random.random(weight.shape, np.float32))
    return network


def variables(gan):
    return [v for network in (gan.generator, gan.discriminator) for v in network.trainable_weights]


def main():
    for name in sys.argv[1:]:
        try:
            # Without what takes long to compile: ADA's set, a third of r3gan, and a second kind of step.
            method = replace(method_of(name), augment="", penalty_every=1)
            _, _, losses = take_two_rounds(method)
            print(json.dumps({"preset": name, "precision": method.precision, "losses": losses}), flush=True)
        except click.UsageError as error:
            print(json.dumps({"preset": name, "refused": error.message}), flush=True)


if __name__ == "__main__":
    main()
