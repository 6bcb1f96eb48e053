"""The tutorial that the specification comes from: how it reads a photo, its networks, its loop.

python tests/benchmarks/tutorial.py --source img_align_celeba.zip --photos 16000 --steps 20
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from measure import photos_of
from PIL import Image

BATCH = 64
LATENT = 100


def read(photo: bytes) -> np.ndarray:
    """RGB to L, crop, bicubic: float64 [64, 64] in [0, 1]."""
    image = Image.open(io.BytesIO(photo)).convert("L").crop((20, 30, 160, 180)).resize((64, 64), Image.BICUBIC)
    return np.asarray(image, np.float64) / 255.0


def networks():
    """Build the generator and the discriminator, which ends in a probability."""
    import keras  # here: reading photos needs no TensorFlow
    from keras import layers

    generator = keras.Sequential([keras.Input((LATENT,)), layers.Dense(4 * 4 * 256), layers.Reshape((4, 4, 256))])
    for width in (256, 128, 64):
        generator.add(layers.Conv2DTranspose(width, 3, strides=2, padding="same"))
        generator.add(layers.LeakyReLU(0.2))
        generator.add(layers.BatchNormalization())
    generator.add(layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"))

    discriminator = keras.Sequential([keras.Input((64, 64, 1))])
    for _ in range(2):
        discriminator.add(layers.Conv2D(64, 3, strides=2, padding="same"))
        discriminator.add(layers.LeakyReLU(0.2))
        discriminator.add(layers.Dropout(0.4))
    discriminator.add(layers.Flatten())
    discriminator.add(layers.Dense(1, activation="sigmoid"))
    return generator, discriminator


def trainer(images: np.ndarray) -> Callable[[int], None]:
    """A function that trains for so many steps: `predict`, then three `train_on_batch`.

    Args:
        images: all photos, float64 [count, 64, 64, 1] in [0, 1].
    """
    import keras

    generator, discriminator = networks()
    discriminator.compile("adam", "binary_crossentropy")
    real_labels, fake_labels = np.ones((BATCH, 1)), np.zeros((BATCH, 1))
    # Keras decides what is trained when it traces a model, once for each dtype (photos are float64, fakes float32).
    # So D sees both before it is frozen for the combined model; after it, nothing is traced any more.
    discriminator.train_on_batch(images[:BATCH], real_labels)
    discriminator.train_on_batch(images[:BATCH].astype(np.float32), fake_labels)
    discriminator.trainable = False
    combined = keras.Sequential([generator, discriminator])
    combined.compile("adam", "binary_crossentropy")
    starts = itertools.cycle(range(0, len(images) - BATCH + 1, BATCH))

    def train(steps: int) -> None:
        for start in itertools.islice(starts, steps):
            z = np.random.uniform(-1.0, 1.0, (BATCH, LATENT))
            fakes = generator.predict(z, verbose=0)
            discriminator.train_on_batch(images[start : start + BATCH], real_labels)
            discriminator.train_on_batch(fakes, fake_labels)
            combined.train_on_batch(z, real_labels)

    return train


@click.command()
@click.option("--source", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--photos", default=16_000, help="How many there are in the zip.")
@click.option("--steps", default=20)
def main(source: Path, photos: int, steps: int) -> None:
    """Read photos into one array, then train on it."""
    images = np.empty((photos, 64, 64, 1))
    for image, (_, photo) in zip(images, photos_of(source), strict=True):
        image[..., 0] = read(photo)
    trainer(images)(steps)


if __name__ == "__main__":
    main()
