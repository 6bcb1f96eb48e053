"""The feature space `attributes`: a small network that tells a face's attributes, learnt from the shards themselves.

Inception's features follow ImageNet's classes and mislead on faces (Kynkaanniemi et al. 2023, "The Role of ImageNet
Classes in Frechet Inception Distance"; Morozov et al. 2021, "On Self-Supervised Image Representations for GAN
Evaluation"). This network has seen nothing but faces of the size, the crop and the channels that are judged.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from click import UsageError
from keras import layers

from training.data.pipeline import READ_BATCH, read_images
from training.data.shards import ShardSet
from training.files import replacing, write_text
from training.metrics.space import FeatureSpace, folder

NAME = "attributes"
WIDTH = 192
"""Length of the features."""

REPORTS = 10
BATCH = 128
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 5e-2
MOMENTUM = 0.9
"""Of the statistics: a small set of photos is learnt in a few dozen steps, which Keras's 0.99 would not follow."""


@dataclass(frozen=True)
class Card:
    """What is known of a network: the JSON beside its weights."""

    photos: str
    """`ShardSet.fingerprint` of the photos that it learnt from."""
    digest: str
    """Hash of the weights."""
    attribute_names: list[str]
    seed: int
    kimg: float
    """Thousands of photos that it saw."""
    checked_on: str
    """The split whose photos the accuracies are of."""
    accuracy: float
    """Right answers, the mean over attributes, in [0, 1]."""
    commonest: float
    """The same for always answering what is commoner among the photos that were learnt from."""
    accuracies: list[float]
    """Of each attribute."""
    source: str | None = None
    """Fingerprint of the photos that the shards were made from; None where the manifest does not say."""
    crop: dict[str, object] | None = None
    """What was cut out of them, as the manifest has it."""
    image_shape: list[int] | None = None
    """height, width, channels; None in cards of older versions, which fit no shards."""


def network(image_shape: tuple[int, int, int], attributes: int) -> keras.Model:
    """Images in 0..255, [batch, height, width, channels] -> a logit for each attribute, [batch, attributes].

    Convolutions with a stride of 2 down to 4x4; the layer "features" is the penultimate one, `WIDTH` wide.
    """
    x = image = keras.Input(image_shape, name="image")
    x = layers.RandomFlip("horizontal")(x)
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(x)
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


def names(shards: ShardSet) -> list[str]:
    """The attributes that the shards' manifests list.

    Raises:
        UsageError: there are none, or not the same in all folders.
    """
    listed = {}
    for place in {shard.path.parent for shard in shards.shards}:
        listed[place] = json.loads((place / "manifest.json").read_text()).get("attribute_names") or []
        if not listed[place]:
            raise UsageError(
                f"The shards in {place} carry no attributes. Make them with CelebA's list: "
                "python -m preprocess.run --source PHOTOS --attributes list_attr_celeba.txt --out FOLDER"
            )
    if len(set(map(tuple, listed.values()))) > 1:
        raise UsageError(f"{' and '.join(map(str, listed))} list different attributes. Name one folder.")
    return next(iter(listed.values()))


def read_attributes(shards: ShardSet, count: int) -> np.ndarray:
    """The attributes of all photos in the order of the shards: float32 [shards.count, count], 0 or 1."""
    feature = {"attributes": tf.io.FixedLenFeature([count], tf.int64)}
    parts = [
        tf.io.parse_example(batch, feature)["attributes"].numpy().astype(np.float32)
        for shard in shards.shards
        for batch in tf.data.TFRecordDataset(str(shard.path)).take(shard.count).batch(READ_BATCH)
    ]
    return np.concatenate(parts)


def learn(
    learnt: ShardSet, checked: ShardSet, checked_on: str, kimg: float, seed: int, say: Callable[[str], None]
) -> tuple[keras.Model, Card]:
    """Train a network.

    Args:
        learnt: the photos to learn from.
        checked: the photos to take the accuracy on.
        checked_on: what these are called.
        kimg: thousands of photos to see; more photos than that are not read.
        seed: decides weights, order, flips and dropout.
        say: told how it goes, ten times.
    """
    attribute_names = names(learnt)
    some = learnt.first(int(kimg * 1000))
    images, labels = read_images(some), read_attributes(some, len(attribute_names))
    keras.utils.set_random_seed(seed)
    model = network(learnt.image_shape, len(attribute_names))
    batch = min(BATCH, len(images))
    steps_per_report = max(1, int(kimg * 1000) // batch // REPORTS)
    steps = REPORTS * steps_per_report
    # Up to its height over the first tenth of the steps, then down to nothing.
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps_per_report, warmup_target=LEARNING_RATE, warmup_steps=steps_per_report
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0, name="right")],
    )

    def report(index: int, logs: dict[str, float]) -> None:
        say(f"{index + 1} of {REPORTS}: loss {logs['loss']:.4f}, {logs['right']:.1%} right on the photos learnt from")

    model.fit(
        _batches(images, labels, batch, seed),
        epochs=REPORTS,
        steps_per_epoch=steps_per_report,
        shuffle=False,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)],
    )
    is_so = read_attributes(checked, len(attribute_names)) > 0.5
    right = (model.predict(read_images(checked), batch_size=256, verbose=0) > 0) == is_so
    card = Card(
        photos=learnt.fingerprint,
        digest=digest(model),
        attribute_names=attribute_names,
        seed=seed,
        kimg=kimg,
        checked_on=checked_on,
        accuracy=float(right.mean()),
        commonest=float(((labels.mean(axis=0) > 0.5) == is_so).mean()),
        accuracies=right.mean(axis=0).round(4).tolist(),
        **_origin(learnt),
    )
    return model, card


def _batches(images: np.ndarray, labels: np.ndarray, batch: int, seed: int) -> tf.data.Dataset:
    with tf.device("CPU"):  # the default would put all images on the first GPU
        images, labels = tf.constant(images), tf.constant(labels)
    order = tf.data.Dataset.range(len(images)).shuffle(len(images), seed=seed).repeat().batch(batch)
    return order.map(lambda rows: (tf.gather(images, rows), tf.gather(labels, rows))).prefetch(2)


def digest(model: keras.Model) -> str:
    """A hash of a network's weights."""
    content = hashlib.sha256()
    for weight in model.get_weights():
        content.update(np.ascontiguousarray(weight).tobytes())
    return content.hexdigest()[:16]


def save(place: Path, model: keras.Model, card: Card) -> None:
    """Write attributes.keras and attributes.json into the folder `place`."""
    place.mkdir(exist_ok=True)
    with replacing(place / f"{NAME}.keras") as partial:
        keras.Model(model.input, model.output).save(partial)  # without the optimizer, two thirds of the file
    write_text(place / f"{NAME}.json", json.dumps(asdict(card), indent=1) + "\n")


def load(shards: ShardSet) -> tuple[FeatureSpace, Card]:
    """The space of the network that is kept beside the shards, and what is known of it.

    Raises:
        UsageError: there is none, or it is not for images of this shape.
    """
    place = folder(shards)
    how = f"Learn it, once, in minutes: python -m training.features --shards {place.parent}"
    try:
        card = Card(**json.loads((place / f"{NAME}.json").read_text()))
        model = keras.saving.load_model(place / f"{NAME}.keras", compile=False)
    except FileNotFoundError:
        raise UsageError(f"The feature space attributes is not in {place} yet. {how}") from None
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise UsageError(f"{place / NAME}.keras or .json cannot be read ({error}). {how}") from None
    if digest(model) != card.digest:
        raise UsageError(f"{place / NAME}.keras is not the network that {NAME}.json beside it describes. {how}")
    changed = [name for name, value in _origin(shards).items() if getattr(card, name) != value]
    if changed:
        raise UsageError(
            f"{place / NAME}.keras was learned from other photos than {place.parent} now holds "
            f"(another {', another '.join(changed)}): distances in it would say nothing. {how}"
        )
    return FeatureSpace(NAME, card.digest, features_of(model)), card


def _origin(shards: ShardSet) -> dict[str, object]:
    """What the shards were made from, as `Card` has it."""
    manifest = json.loads((folder(shards).parent / "manifest.json").read_text())
    return {
        "source": manifest.get("source", {}).get("fingerprint"),
        "crop": manifest.get("settings", {}).get("crop"),
        "image_shape": list(shards.image_shape),
    }


def features_of(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """`FeatureSpace.batch_features` of a network."""
    penultimate = keras.Model(model.input, model.get_layer("features").output)

    @tf.function(input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)])
    def batch_features(images: tf.Tensor) -> tf.Tensor:
        return penultimate(images, training=False)

    return lambda images: batch_features(images).numpy()
