"""The feature space `attributes`: a small network that recognises the attributes of faces, trained on the shards.

Inception's features follow ImageNet's classes and mislead on faces (Kynkaanniemi et al. 2023, "The Role of ImageNet
Classes in Frechet Inception Distance"; Morozov et al. 2021, "On Self-Supervised Image Representations for GAN
Evaluation"). This network is trained on faces alone, of the size, crop and channels that are measured.
"""

from __future__ import annotations

import hashlib
import shlex
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from click import UsageError
from keras import layers

from system.files import parsed_json, replacing_by_zip, write_json
from training.batch import ImageShape
from training.data.reading import read_attributes, read_images
from training.data.shards import ShardSet
from training.metrics.space import FeatureSpace

NAME = "attributes"
# The same network, trained on the photos that generators are not trained on: see `training.metrics.conditions`. It is
# also a second feature space, with other blind spots than the first.
JUDGE = "judge"
_TITLES = {NAME: "The feature space attributes", JUDGE: "The judge of conditions"}

WIDTH = 192  # length of the features

REPORTS = 10
BATCH = 128
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 5e-2
MOMENTUM = 0.9  # of the statistics: a small set takes a few dozen steps, too few for Keras's 0.99
# Random translation in the judge's training, as a share of the side: accuracy 88.6 percent against 87.9 without (3,180
# photos). Not for the feature space, whose Frechet distances must stay comparable.
SHIFT = 1 / 32


@dataclass(frozen=True)
class Card:
    """How a network was trained: the JSON beside its weights."""

    photos: str  # `ShardSet.fingerprint` of the training photos
    digest: str  # hash of the weights
    attribute_names: list[str]
    seed: int
    kimg: float  # length of the training in thousands of photos
    checked_on: str  # the split whose photos the accuracies are of
    accuracy: float  # mean over attributes, in [0, 1]
    # Majority-class baseline: the accuracy of always giving the more frequent answer of the training photos.
    commonest: float
    accuracies: list[float]  # of each attribute
    shift: float  # random translation in training, at most, as a share of the side
    source: str  # fingerprint of the photos that the shards were made from
    crop: dict[str, object]  # the crop, as the manifest has it
    image_shape: list[int]  # height, width, channels


def network(image_shape: ImageShape, attributes: int, shift: float = 0.0) -> keras.Model:
    """Images in 0..255, [batch, height, width, channels] -> a logit for each attribute, [batch, attributes].

    Convolutions with a stride of 2 down to 4x4; the layer "features" is the penultimate one, `WIDTH` wide. In training
    images are flipped, and translated by up to `shift` of their side.
    """
    x = image = keras.Input(image_shape, name="image")
    x = layers.RandomFlip("horizontal")(x)
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    if shift:
        x = layers.RandomTranslation(shift, shift, fill_mode="nearest")(x)
    side, filters = image_shape[0], 32
    while side > 4:
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=MOMENTUM)(x)
        x = layers.ReLU()(x)
        side, filters = side // 2, min(2 * filters, 256)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.3)(x)
    x = layers.Dense(WIDTH, use_bias=False)(x)
    x = layers.BatchNormalization(momentum=MOMENTUM)(x)
    x = layers.ReLU(name="features")(x)
    x = layers.Dropout(0.3)(x)
    return keras.Model(image, layers.Dense(attributes)(x), name="attributes")


def train(
    train_shards: ShardSet,
    checked: ShardSet,
    checked_on: str,
    kimg: float,
    seed: int,
    log: Callable[[str], None],
    shift: float = 0.0,
) -> tuple[keras.Model, Card]:
    """Train a network and check it on the photos `checked`, of the split `checked_on`.

    `kimg` is the length in thousands of photos; more photos than that are not read. `seed` decides weights, order,
    flips, translations and dropout. `log` is called with a line on the progress, `REPORTS` times.
    """
    names = train_shards.attribute_names
    photos = train_shards.first(int(kimg * 1000))
    images, labels = read_images(photos), read_attributes(photos, names)
    checked_images, checked_labels = read_images(checked), read_attributes(checked, names) > 0.5
    keras.utils.set_random_seed(seed)
    model = network(train_shards.image_shape, len(names), shift)
    batch = min(BATCH, len(images))
    steps_per_report = max(1, int(kimg * 1000) // batch // REPORTS)
    steps = REPORTS * steps_per_report
    # Linear warm-up over the first tenth of the steps, then down to 0.
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps_per_report, warmup_target=LEARNING_RATE, warmup_steps=steps_per_report
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0, name="right")],
    )

    def report(index: int, logs: dict[str, float]) -> None:
        log(f"{index + 1} of {REPORTS}: loss {logs['loss']:.4f}, accuracy {logs['right']:.1%} on the training photos")

    model.fit(
        _batches(images, labels, batch, seed),
        epochs=REPORTS,
        steps_per_epoch=steps_per_report,
        shuffle=False,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)],
    )
    right = (model.predict(checked_images, batch_size=256, verbose=0) > 0) == checked_labels
    card = Card(
        photos=train_shards.fingerprint,
        digest=digest(model),
        attribute_names=names,
        seed=seed,
        kimg=kimg,
        checked_on=checked_on,
        accuracy=float(right.mean()),
        commonest=float(((labels.mean(axis=0) > 0.5) == checked_labels).mean()),
        accuracies=right.mean(axis=0).round(4).tolist(),
        shift=shift,
        **train_shards.origin,
    )
    return model, card


@tf.autograph.experimental.do_not_convert
def _batches(images: np.ndarray, labels: np.ndarray, batch: int, seed: int) -> tf.data.Dataset:
    with tf.device("CPU"):  # the default would put all images on the first GPU
        images, labels = tf.constant(images), tf.constant(labels)
    order = tf.data.Dataset.range(len(images)).shuffle(len(images), seed=seed).repeat().batch(batch)
    return order.map(lambda rows: (tf.gather(images, rows), tf.gather(labels, rows))).prefetch(2)


def digest(model: keras.Model) -> str:
    """Return a hash of a network's weights."""
    return hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()[:16]


def save(folder: Path, model: keras.Model, card: Card, name: str = NAME) -> None:
    """Write NAME.keras and NAME.json into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    # Without the optimizer, two thirds of the file.
    with replacing_by_zip(folder / f"{name}.keras") as parts:
        keras.Model(model.input, model.output).save(parts, zipped=False)
    write_json(folder / f"{name}.json", asdict(card))


def load(shards: ShardSet, name: str = NAME) -> FeatureSpace:
    """Return the feature space of a network in `shards.features_dir`, `NAME` or `JUDGE`.

    The judge is refused where the shards, the photos of the generator, are not the split "train" alone.
    """
    model, card = load_judge(shards, ", ".join(sorted(shards.splits))) if name == JUDGE else load_network(shards)
    return FeatureSpace(name, card.digest, features_of(model))


def load_network(shards: ShardSet, name: str = NAME) -> tuple[keras.Model, Card]:
    """Return a network in `shards.features_dir`, `NAME` or `JUDGE`, and how it was trained.

    Raises UsageError where there is none, or it is not the one of these photos.
    """
    folder, photos = shards.features_dir, shards.shards[0].folder
    option = " --judge" if name == JUDGE else ""
    how = f"Train it once, in minutes: python -m training.features{option} --shards {shlex.quote(str(photos))}"
    if shards.chosen_features_dir:
        how += f" --out {shlex.quote(str(folder))}"
    try:
        card = Card(**parsed_json((folder / f"{name}.json").read_bytes()))
        model = keras.saving.load_model(folder / f"{name}.keras", compile=False)
    except FileNotFoundError:
        raise UsageError(
            f"{_TITLES[name]} is not in {folder} yet. {how}\nIf it is in another folder: --features-dir FOLDER"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise UsageError(f"{folder / name}.keras or .json cannot be read ({error}). {how}") from None
    if digest(model) != card.digest:
        raise UsageError(f"{folder / name}.keras is not the network that {name}.json beside it describes. {how}")
    if changed := [key for key, value in shards.origin.items() if getattr(card, key) != value]:
        raise UsageError(
            f"{folder / name}.keras was trained on other photos than {photos} now holds "
            f"(another {', another '.join(changed)}): its answers on these would mean nothing. {how}"
        )
    return model, card


def load_judge(shards: ShardSet, train_on: str) -> tuple[keras.Model, Card]:
    """Return the judge of a generator trained on this split; raise UsageError where it knows those photos."""
    if train_on != "train":
        raise UsageError(f"The judge knows the photos that this run was trained on ({train_on}).")
    return load_network(shards, JUDGE)


def answers_of(model: keras.Model, card: Card, names: Sequence[str]) -> Callable[[np.ndarray], np.ndarray]:
    """Return a network's answers for these attributes: uint8 images -> bool [count, len(names)]."""
    if missing := [name for name in names if name not in card.attribute_names]:
        raise UsageError(f"The network of training.features does not know {', '.join(missing)}: train it again.")
    columns = [card.attribute_names.index(name) for name in names]
    return lambda images: logits(model, images)[:, columns] > 0


def logits(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return a network's mean logits of each image and its mirror image: float32 [count, attributes].

    `images` is uint8 [count, height, width, channels]. Of the judge's answers 88.8 percent are right in place of 88.6.
    """
    batches = (images[first : first + 256] for first in range(0, len(images), 256))
    # Not by `predict`, which traces a pipeline of tf.data each time: 0.1 s.
    return np.concatenate([sum(map(model.predict_on_batch, (batch, batch[:, :, ::-1]))) / 2 for batch in batches])


def features_of(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Return `FeatureSpace.batch_features` of a network."""
    penultimate = keras.Model(model.input, model.get_layer("features").output)

    @tf.function(input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)], autograph=False)
    def batch_features(images: tf.Tensor) -> tf.Tensor:
        return penultimate(images, training=False)

    return lambda images: batch_features(images).numpy()
