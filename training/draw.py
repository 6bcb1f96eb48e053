"""Faces from a generator and a seed, and as a picture: the z of a seed are the rows of an endless table."""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from click import UsageError
from PIL import Image

import training.models.networks  # noqa: F401  # it registers the layers of discriminators
from system.files import replacing
from training.config import Config
from training.data.labels import load as load_labels
from training.models.noise import Purpose, latent
from training.models.precision import full_precision

BATCH = 32  # faces per forward pass: `r3gan` takes some 80 MB for each on a CPU


def load(path: Path) -> keras.Model:
    """Return a network that a run has saved; raise UsageError where it cannot be read."""
    try:
        zipfile.ZipFile(path).close()  # of a damaged one Keras says that there is none
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"{path} cannot be read ({error}). The run writes it again at the end of an epoch: continue the run."
        ) from None


def digest(path: Path) -> str:
    """Return a hash of a generator's file, by which directions and scores name their generator."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def load_with_digest(path: Path) -> tuple[keras.Model, str]:
    """Return what `load` and `digest` do, of one state of the file: a run that trains replaces it meanwhile."""
    before = digest(path)
    network, after = load(path), digest(path)
    return (network, after) if after == before else load_with_digest(path)


@lru_cache(maxsize=2)
def _compiled(network: keras.Model) -> Callable[..., tf.Tensor]:
    """Return a network as a graph, which is traced once.

    A graph frees the output of a layer once the next has read it: 2.7 GB in place of 4.2 for 16 faces of `r3gan`.
    """
    any_count = [tf.TensorSpec((None, *entry.shape[1:]), full_precision()) for entry in network.inputs]

    @tf.function(input_signature=any_count, autograph=False)
    def outputs(*inputs: tf.Tensor) -> tf.Tensor:
        return network(list(inputs) if len(inputs) > 1 else inputs[0], training=False)

    return outputs


def faces(
    generator: keras.Model, count: int, seed: int, distribution: str, labels: np.ndarray | None = None
) -> np.ndarray:
    """Draw the first `count` faces of a seed: uint8 [count, height, width, channels].

    `distribution` is that of z, "uniform" or "normal"; `labels` are float32 [count, conditions], -1 or 1, where the
    generator takes any.
    """
    return render(generator, latents(generator, count, seed, distribution), labels)


def labels_of(folder: Path, config: Config, count: int, seed: int) -> np.ndarray | None:
    """Return labels for the first `count` faces of a seed, or None where the run in `folder` has no conditions.

    They are drawn as often as the training photos have them together.
    """
    return load_labels(folder).draw(count, seed) if config.conditions else None


def latents(generator: keras.Model, count: int, seed: int, distribution: str, truncation: float = 1.0) -> np.ndarray:
    """Return the first `count` z of a seed: float32 [count, length of z].

    All are multiplied by `truncation`, above 0 and at most 1: the reduced temperature of Kingma and Dhariwal 2018,
    "Glow", and what StyleGAN's truncation is where z has no mapping and its mean is 0. The truncation trick
    of Brock et al. 2018 draws numbers beyond a threshold again instead.
    """
    path, size = (seed, Purpose.SAMPLE), generator.inputs[0].shape[-1]
    return np.float32(truncation) * np.concatenate(
        [  # z is defined in blocks of BATCH: a vectorised log rounds by lane
            latent(path, first, min(BATCH, count - first), size, distribution) for first in range(0, count, BATCH)
        ]
    )


def render(
    generator: keras.Model,
    z: np.ndarray,
    labels: np.ndarray | None = None,
    on_progress: Callable[[int], object] = lambda rows: None,
) -> np.ndarray:
    """Return the faces of these z: uint8 [len(z), height, width, channels].

    `labels` are those of `faces`. `on_progress` is called with the number of faces after each batch.
    """
    return np.concatenate(list(batches(generator, z, labels, on_progress)))


def batches(
    generator: keras.Model,
    z: np.ndarray,
    labels: np.ndarray | None = None,
    on_progress: Callable[[int], object] = lambda rows: None,
) -> Iterator[np.ndarray]:
    """Yield what `render` returns in parts of `BATCH` faces, for more of them than fit in memory."""
    generate = _compiled(generator)
    for first in range(0, len(z), BATCH):
        inputs = [rows[first : first + BATCH].astype(full_precision()) for rows in (z, labels) if rows is not None]
        drawn = to_pixels(generate(*inputs).numpy())
        on_progress(len(drawn))
        yield drawn


def to_pixels(images: np.ndarray) -> np.ndarray:
    """Convert float images in [0, 1] to uint8, rounded; values outside are clipped."""
    return np.rint(np.clip(images, 0.0, 1.0) * 255.0).astype(np.uint8)


def tile(images: np.ndarray) -> np.ndarray:
    """Arrange images, [count, height, width, channels], in the squarest grid, row by row; unused cells are black."""
    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    cells = np.zeros((rows * columns, height, width, channels), images.dtype)
    cells[:count] = images
    grid = cells.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, channels)


def to_image(pixels: np.ndarray) -> Image.Image:
    """Return uint8 [height, width, 1 or 3] as Pillow's image, grey or RGB."""
    return Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write uint8 [height, width, 1 or 3] as a PNG."""
    with replacing(path) as partial:
        to_image(picture).save(partial, format="PNG")
