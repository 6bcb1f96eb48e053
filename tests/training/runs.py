"""The commands on small shards, runs that no command made, and what a run leaves in its folder, read."""

import csv
import json
from dataclasses import replace

import keras
import numpy as np
from PIL import Image

from explore.sample import main as sample_command
from tests.command import Command
from training import config as configs
from training import draw
from training.config import Config
from training.data import labels
from training.presets import PRESETS
from training.run import main as run_command

SMALL = ["--batch-size", "10", "--strategy", "one"]

run, sample = Command(run_command), Command(sample_command)


def save_run(folder, generator, shards, condition=""):
    """A run as if it had trained this generator of normal z on these shards."""
    folder.mkdir()
    generator.save(folder / "generator.keras")
    method = replace(PRESETS["classic"], latent=generator.inputs[0].shape[-1], latent_distribution="normal")
    photos = (shards.count, shards.fingerprint, shards.image_shape)
    config = Config("classic", method, 0, "train", *photos, cache=True, condition=condition)
    configs.save(folder, config, {})
    if condition:
        labels.save(folder, labels.count_labels(shards, config.conditions))
    return folder


def trains_on(folder, monkeypatch):
    """Let a run write another generator whenever faces of it have been drawn; return the digest of the first."""
    path, render = folder / "generator.keras", draw.render

    def drawn(*arguments, **options):
        faces = render(*arguments, **options)
        path.write_bytes(path.read_bytes() + b"0")
        return faces

    monkeypatch.setattr(draw, "render", drawn)
    return draw.digest(path)


def history(folder):
    with (folder / "history.csv").open(newline="") as file:
        return [{**line, "seconds": None} for line in csv.DictReader(file)]


def losses(folder):
    """Of D and of G, by epoch."""
    return [[float(line["d_loss"]), float(line["g_loss"])] for line in history(folder)]


def scores(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def stats(folder):
    """The lines of status."""
    events = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    return [event for event in events if event["event"] == "status"]


def weights_in(folder, name="generator"):
    """Of a network that a run has saved, as plain Keras opens it."""
    return keras.saving.load_model(folder / f"{name}.keras", compile=False).get_weights()


def faces_in(path, side=16):
    """The images of a grey grid, row by row: [count, side, side]."""
    height, width = np.asarray(Image.open(path)).shape
    return cells(path, height // side, width // side, side).reshape(-1, side, side)


def cells(path, rows, columns, side=16, top=0):
    """The images of a grey grid below so many rows of pixels: [rows, columns, side, side]."""
    return np.asarray(Image.open(path))[top:].reshape(rows, side, columns, side).swapaxes(1, 2)
