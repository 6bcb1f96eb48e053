"""The JSON documents of a folder of shards. Pure functions: the same run writes the same bytes."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import click

from preprocess.annotations import Attributes
from preprocess.crop import Rejection
from preprocess.plan import SPLITS
from preprocess.shard import Shard

REJECTED = "rejected.jsonl"  # each rejected photo and why
DOCUMENTS = FEATURES, DATASET_INFO = ("features.json", "dataset_info.json")  # for tfds

MANIFEST = "manifest.json"
UNFINISHED = ".unfinished"  # what a run that is not finished has written
RECIPE = "settings.json"  # in it: what decides the bytes

# What is added to a name in messages.
_MEANINGS = {"source.fingerprint": " (names, sizes and dates of the photos)"}

FORMAT = 1  # raised when the same settings come to mean other bytes

Document = dict[str, Any]


def recipe(settings: Document, source: Document) -> Document:
    """Return all that decides the bytes of the shards: the settings, and the source (paths, fingerprint)."""
    # Through JSON, so that it equals what is read back: tuples become lists.
    return json.loads(json.dumps({"format": FORMAT, "settings": settings, "source": source}))


def differences(old: Document, new: Document) -> list[str]:
    """Return a line "name: old -> new" for each part of the recipe `new` that differs in `old`, which may hold more.

    What was only moved is the same: where photos and lists lie does not count.
    """
    before, after = _flat({key: value for key, value in old.items() if key in new}), _flat(new)
    return [
        f"{name}{_MEANINGS.get(name, '')}: {_short(before.get(name))} -> {_short(after.get(name))}"
        for name in sorted(before.keys() | after.keys())
        if not name.endswith((".path", ".paths")) and before.get(name) != after.get(name)
    ]


def in_lines(differing: Iterable[str]) -> str:
    """Return what `differences` found as it stands in a message."""
    return "".join(f"\n  {line}" for line in differing)


def not_ours(out: object) -> click.UsageError:
    """Return the refusal of a folder or prefix with shards or a manifest of others."""
    return click.UsageError(
        f"{out} holds data that this program did not make, and stays as it is: choose another --out."
    )


def build(
    made_of: Document,
    versions: Document,
    shape: tuple[int, int, int],
    attributes: Attributes | None,
    shards: Sequence[Shard],
    rejections: Iterable[Rejection],
) -> Document:
    """Return manifest.json: the recipe and what came of it. `shards` in the order in which they are to be listed."""
    names = list(attributes.names) if attributes else None
    return made_of | {
        "versions": versions,
        "image": {"shape": list(shape), "dtype": "uint8"},
        "attribute_names": names,
        **({"exclusive_attributes": names} if attributes and attributes.is_exclusive else {}),
        "shards": [_listed(shard) for shard in shards],
        "rejected": dict(sorted(Counter(rejection.reason for rejection in rejections).items())),
    }


def is_manifest(document: Any) -> bool:
    """Return whether this program wrote a document as a manifest."""
    return isinstance(document, dict) and document.keys() >= {"format", "settings", "source", "shards"}


def shards(manifest: Document) -> list[Shard]:
    """Return the shards that a manifest lists; it does not say what each of them left out."""
    return [
        Shard(
            str(shard["name"]), str(shard["split"]), int(shard["count"]), int(shard["bytes"]), str(shard["sha256"]), ()
        )
        for shard in manifest["shards"]
    ]


def counts(manifest: Document) -> dict[str, int]:
    """Return how many photos each split of a manifest has, in the order of SPLITS."""
    photos = Counter[str]()
    for shard in manifest["shards"]:
        photos[shard["split"]] += shard["count"]
    return {split: photos[split] for split in SPLITS if split in photos}


def documents(manifest: Document) -> dict[str, Document]:
    """Return the other JSON documents of a folder, by file name: they follow from its manifest."""
    return {FEATURES: features(manifest), DATASET_INFO: dataset_info(manifest)}


def rejected_lines(rejections: Iterable[Rejection]) -> str:
    """Return rejected.jsonl: one line a photo, in the order of their ids."""
    return "".join(json.dumps(rejection._asdict()) + "\n" for rejection in sorted(rejections))


def dataset_info(manifest: Document) -> Document:
    """Return dataset_info.json, by which `tfds.builder_from_directory` reads the folder without our code.

    An unknown key is a ParseError there: what is ours goes into the manifest. numBytes is what lies on the disk.
    """
    settings, (size, _, channels) = manifest["settings"], map(int, manifest["image"]["shape"])
    name, filter_name = settings["crop"]["name"], settings["crop"]["filter"]
    color = "grey" if channels == 1 else "RGB"
    made = {split: [shard for shard in shards(manifest) if shard.split == split] for split in SPLITS}
    return {
        "name": settings["dataset_name"],
        "version": "1.0.0",
        "configName": f"{name.replace(',', '_')}_{filter_name}_{'gray' if channels == 1 else 'rgb'}{size}",
        "description": f"Photos cropped to {size}x{size} {color} pixels ({name}, {filter_name}).",
        "fileFormat": "tfrecord",
        "splits": [
            {
                "name": split,
                "filepathTemplate": "{SPLIT}-{SHARD_X_OF_Y}.{FILEFORMAT}",
                "shardLengths": [str(shard.count) for shard in of_split],
                "numBytes": str(sum(shard.bytes for shard in of_split)),
            }
            for split, of_split in made.items()
            if of_split
        ],
    }


def features(manifest: Document) -> Document:
    """Return features.json: the features of a record as tfds names them."""
    names = manifest["attribute_names"]
    tensors = {"image": _tensor(manifest["image"]["shape"], "uint8", "bytes")}
    if names is not None:
        tensors["attributes"] = _tensor([len(names)], "bool", "none")
    text = {"pythonClassName": "tensorflow_datasets.core.features.text_feature.Text", "text": {}}
    return {
        "pythonClassName": "tensorflow_datasets.core.features.features_dict.FeaturesDict",
        "featuresDict": {"features": tensors | {"image_id": text}},
    }


def _listed(shard: Shard) -> Document:
    return {key: value for key, value in asdict(shard).items() if key not in ("rejected", "etag")}


def _tensor(shape: list[int], dtype: str, encoding: str) -> Document:
    return {
        "pythonClassName": "tensorflow_datasets.core.features.tensor_feature.Tensor",
        "tensor": {"shape": {"dimensions": [str(side) for side in shape]}, "dtype": dtype, "encoding": encoding},
    }


def _flat(document: Document, prefix: str = "") -> Document:
    flat: Document = {}
    for key, value in document.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _short(value: Any) -> str:
    """Return a value as it fits on a line: of a SHA-256 the first 12 digits."""
    return value[:12] if isinstance(value, str) and len(value) == 64 else json.dumps(value)
