"""Export a network of a run for other programs: python -m explore.export."""

from __future__ import annotations

import json
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import UsageError

from explore.directions import directions
from system.command import LocalPath, os_errors_reported
from system.files import replacing, write_text
from training import config as configs
from training.command import Command, startup_messages_hidden
from training.config import Config
from training.data import labels
from training.data.labels import LabelFrequencies
from training.options import check_writable, run_option

if TYPE_CHECKING:
    import keras

SUFFIXES = {"onnx": ".onnx", "litert": ".tflite", "saved_model": ""}

# For the card, by the distribution of z: what z is, and how to move it along a direction, as `Directions.edit` does.
DRAWN = {"uniform": "each number uniform in [-1, 1]", "normal": "each number normal, mean 0, deviation 1"}
MOVED = {
    "uniform": "add strength / sqrt(3) times the vector to z, then clip to [-1, 1]",
    "normal": "add strength times the vector to z, then scale the sum to the length that z had",
}


@click.command(cls=Command)
@run_option
@click.option(
    "--network",
    type=click.Choice(["generator", "discriminator"]),
    default="generator",
    help="The one that draws faces, or the one that learned to tell them from photos.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(SUFFIXES)),
    required=True,
    help="ONNX, LiteRT (the former TensorFlow Lite), or TensorFlow's SavedModel.",
)
@click.option(
    "--out",
    type=LocalPath(path_type=Path),
    help="The file to write, for saved_model a folder.  [default: in the run, generator.onnx, .tflite or generator; or "
    "discriminator]",
)
def main(folder: Path, network: str, form: str, out: Path | None) -> None:
    """Write a network of a run as ONNX, LiteRT or SavedModel, with a JSON beside it that says how to use it.

    The JSON names the inputs, how z is distributed, the range of the output, and the directions of explore.directions.
    """
    config, path = configs.load_with_generator(folder)
    if is_discriminator := network == "discriminator":
        path = discriminator_of(folder)
    out = out or folder / f"{network}{SUFFIXES[form]}"
    check(form, out)
    card_path = out.with_name(out.name + ".json")
    check_writable(card_path)
    moves = None if is_discriminator else directions.load(folder)
    with startup_messages_hidden(), os_errors_reported():
        from training import draw

        loaded, digest = draw.load_with_digest(path)
        directions.warn_if_outdated(folder, moves, digest)
        more = label_inputs(labels.load(folder)) if config.conditions else []
        card = json.dumps(discriminator_card(config, more) if is_discriminator else generator_card(config, more, moves))
        write(portable(loaded), form, out, card)
    write_text(card_path, card + "\n")
    print(f"{out}: the {network}; {card_path}: its inputs and its output.")


def discriminator_of(folder: Path) -> Path:
    """Return the path of a run's discriminator; raise UsageError where it is not there."""
    path = folder / "discriminator.keras"
    if not path.exists():
        raise UsageError(
            f"{path} is not there: the command that trained the run writes it, also of a finished one if its "
            "checkpoints are there."
        )
    return path


def check(form: str, out: Path) -> None:
    """Raise UsageError where this cannot be written."""
    if form == "onnx" and find_spec("tf2onnx") is None:
        raise UsageError("--format onnx needs more packages: pip install -r requirements-export.txt")
    if form == "saved_model" and os.path.lexists(out):
        raise UsageError(f"{out} is there already: remove it, or choose another --out.")
    check_writable(out)
    if SUFFIXES[form] and out.suffix != SUFFIXES[form]:
        raise UsageError(f"{out}: the name of such a file ends in {SUFFIXES[form]}.")


def generator_card(
    config: Config, more_inputs: list[dict[str, Any]], moves: directions.Directions | None
) -> dict[str, Any]:
    """Return what a program must know to use a generator's file, as JSON has it."""
    distribution = config.method.latent_distribution
    return {
        "inputs": [
            {"name": "z", **_values(config.method.latent), "distribution": DRAWN[distribution]},
            *more_inputs,
        ],
        "output": {**_values(*config.image_shape), "range": "0 black to 1 white; clip what is outside"},
        "directions": dict(zip(moves.names, moves.vectors.round(6).tolist(), strict=True)) if moves else {},
        "use_of_directions": MOVED[distribution],
    }


def discriminator_card(config: Config, more_inputs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a program must know to use a discriminator's file, as JSON has it."""
    return {
        "inputs": [{"name": "image", **_values(*config.image_shape), "range": "0 black to 1 white"}, *more_inputs],
        "output": {**_values(1), "range": "a logit: the higher, the more like a photo than like a drawn face"},
    }


def _values(*shape: int) -> dict[str, Any]:
    return {"shape": ["batch", *shape], "dtype": "float32"}


def label_inputs(frequencies: LabelFrequencies) -> list[dict[str, Any]]:
    """Return the input of labels, and which of them exclude each other."""
    names, exclusive = frequencies.names, frequencies.exclusive
    holds = "at most one of them is 1" if frequencies.may_have_none else "exactly one of them is 1"
    group = {"exclusive": exclusive, "use_of_exclusive": holds} if exclusive else {}
    return [{"name": "labels", **_values(len(names)), "conditions": names, "values": [-1, 1], **group}]


def portable(network: keras.Model) -> keras.Model:
    """Return the same network in layers that every format has, a discriminator with one logit for each image.

    LiteRT has no einsum, and no convolution of images of unknown height and width, as `UpSampling2D` leaves them.
    """
    import keras
    import tensorflow as tf

    from training.models.networks.layers import native_groups

    def replaced(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.UpSampling2D):
            sides = layer.output.shape[1:3]
            return keras.layers.Lambda(lambda x: tf.image.resize(x, sides, "nearest"), name=layer.name)
        if isinstance(layer, keras.layers.EinsumDense):
            kernel = layer.kernel.numpy()
            if layer.equation == "bhwc,hwc->bc":
                return keras.layers.Lambda(lambda x: tf.reduce_sum(x * kernel, (1, 2)), name=layer.name)
            # bc,hwc->bhwc
            return keras.layers.Lambda(lambda x: x[:, None, None, :] * kernel, name=layer.name)
        new = type(layer).from_config(layer.get_config())
        return native_groups(new) if getattr(layer, "groups", 1) > 1 else new

    copy = keras.models.clone_model(network, clone_function=replaced)
    for layer in copy.layers:
        if layer.weights:
            layer.set_weights(network.get_layer(layer.name).get_weights())
    if len(copy.output_shape) == 2:  # logits; SAN's two columns are the same
        copy = keras.Model(copy.inputs, copy.outputs[0][:, :1])
    inputs = [tf.zeros((1, *entry.shape[1:])) for entry in copy.inputs]
    copy(inputs if len(inputs) > 1 else inputs[0])  # Keras exports what has been called
    return copy


def write(model: keras.Model, form: str, out: Path, card: str) -> None:
    """Write a network, whole or not at all."""
    import tensorflow as tf

    if form == "onnx":
        with replacing(out) as partial:
            model.export(partial, format="onnx", verbose=False)
        return
    with tempfile.TemporaryDirectory(prefix=f"{out.name}.partial-", dir=out.parent) as place:
        saved = Path(place, "saved_model")
        if form == "saved_model":
            _write_saved_model(model, saved, card)
            saved.rename(out)
        else:  # by TensorFlow's own converter: Keras's `export` has LiteRT since 3.13 only
            model.export(saved, format="tf_saved_model", verbose=False)
            with replacing(out) as partial:
                partial.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(saved)).convert())


def _write_saved_model(model: keras.Model, folder: Path, card: str) -> None:
    """Write a SavedModel as Keras's `export` does, with a signature `about` that returns the card."""
    import keras
    import tensorflow as tf

    inputs = [keras.InputSpec("float32", (None, *entry.shape[1:]), name=entry.name) for entry in model.inputs]
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", model.__call__, [inputs] if len(inputs) > 1 else inputs)
    archive.add_endpoint("about", tf.function(lambda: {"card": tf.constant(card)}, input_signature=[], autograph=False))
    archive.write_out(folder, verbose=False)


if __name__ == "__main__":
    main()
