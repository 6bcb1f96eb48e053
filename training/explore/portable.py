"""A generator for programs without Keras: ONNX, LiteRT, SavedModel."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from click import UsageError

from system.files import replacing
from training.models.networks.layers import native_groups
from training.options import check_writable

SUFFIXES = {"onnx": ".onnx", "litert": ".tflite", "saved_model": ""}


class _Doubled(keras.layers.Layer):
    """`UpSampling2D(2)` of which every dimension but the batch is known: without them LiteRT has no convolution."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return tf.image.resize(x, [2 * x.shape[1], 2 * x.shape[2]], "nearest")


class _Patterns(keras.layers.Layer):
    """`EinsumDense("bc,hwc->bhwc")` as a product, which LiteRT has."""

    def __init__(self, shape: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self._shape = tuple(shape)

    def build(self, _input_shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(name="kernel", shape=self._shape)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return x[:, None, None, :] * self.kernel


def portable(generator: keras.Model) -> keras.Model:
    """Return the same generator in layers that every format has."""

    def replaced(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.UpSampling2D):
            return _Doubled(name=layer.name)
        if isinstance(layer, keras.layers.EinsumDense):
            return _Patterns(layer.kernel.shape, name=layer.name)
        new = type(layer).from_config(layer.get_config())
        return native_groups(new) if getattr(layer, "groups", 1) > 1 else new

    copy = keras.models.clone_model(generator, clone_function=replaced)
    copy.set_weights(generator.get_weights())
    inputs = [tf.zeros((1, entry.shape[-1])) for entry in copy.inputs]
    copy(inputs if len(inputs) > 1 else inputs[0])  # Keras exports what has been called
    return copy


def check(form: str, out: Path) -> None:
    """Raise UsageError where this cannot be written."""
    if form == "onnx" and find_spec("tf2onnx") is None:
        raise UsageError("--format onnx needs more packages: pip install -r requirements-export.txt")
    if form == "saved_model" and out.exists():
        raise UsageError(f"{out} is there already: remove it, or choose another --out.")
    check_writable(out)
    if SUFFIXES[form] and out.suffix != SUFFIXES[form]:
        raise UsageError(f"{out}: the name of such a file ends in {SUFFIXES[form]}.")


def write(generator: keras.Model, form: str, out: Path, described: dict[str, Any]) -> None:
    """Write a generator, whole or not at all; `check` has been called.

    A SavedModel holds what `card` returns too: its signature `about` returns it as JSON, a string.
    """
    model = portable(generator)
    if form != "saved_model":
        with replacing(out) as partial:
            if form == "onnx":
                model.export(partial, format="onnx", verbose=False)
            else:
                partial.write_bytes(_litert(model, out.parent))
        return
    place = Path(tempfile.mkdtemp(prefix=f"{out.name}.partial-", dir=out.parent))
    try:
        _save(model, json.dumps(described), place)
        place.chmod(0o755)
        place.rename(out)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _save(model: keras.Model, about: str, place: Path) -> None:
    """Write a SavedModel as Keras's `export` does, with one more signature."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    inputs = [
        keras.InputSpec(shape=(None, entry.shape[-1]), dtype="float32", name=entry.name) for entry in model.inputs
    ]
    archive.add_endpoint("serve", model.__call__, [inputs] if len(inputs) > 1 else inputs)
    archive.add_endpoint("about", tf.function(lambda: {"card": tf.constant(about)}, input_signature=[]))
    archive.write_out(place, verbose=False)


def _litert(model: keras.Model, folder: Path) -> bytes:
    """Return a model as LiteRT has it, by TensorFlow's own converter: Keras's `export` has it since 3.13 only.

    Its SavedModel lies in this folder meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="litert.partial-", dir=folder) as place:
        model.export(place, format="tf_saved_model", verbose=False)
        return tf.lite.TFLiteConverter.from_saved_model(place).convert()


def card(generator: keras.Model, distribution: str, conditions: Sequence[str], directions: dict[str, Any]) -> dict:
    """Return what a program must know to use the file, as JSON has it."""
    z, *others = generator.inputs
    drawn = {"uniform": "each number uniform in [-1, 1]", "normal": "each number normal, mean 0, deviation 1"}
    # As `Directions.edit` does.
    moved = {
        "uniform": "add strength / sqrt(3) times the vector to z, then clip to [-1, 1]",
        "normal": "add strength times the vector to z, then scale the sum to the length that z had",
    }
    labels = {"name": "labels", "shape": ["batch", len(conditions)], "conditions": list(conditions), "values": [-1, 1]}
    return {
        "inputs": [
            {"name": "z", "shape": ["batch", z.shape[-1]], "dtype": "float32", "distribution": drawn[distribution]},
            *([labels | {"dtype": "float32"}] if others else []),
        ],
        "output": {
            "shape": ["batch", *generator.output_shape[1:]],
            "dtype": "float32",
            "range": "0 black to 1 white; clip what is outside",
        },
        "directions": directions,
        "use_of_directions": moved[distribution],
    }
