"""Every format against Keras, by the runtime that its users have."""

import json
import re
from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from explore.directions import directions
from explore.directions.directions import Directions
from explore.export import label_inputs, main
from tests.command import Command
from tests.disk import full_disk
from tests.training.every_preset import uneven_discriminator, uneven_generator
from training import config as configs
from training import draw
from training.config import Config
from training.data import labels
from training.data.labels import LabelFrequencies
from training.presets import PRESETS

export = Command(main)


def shape_of(preset):
    side = 16 if preset == "lite" else 8  # at 8x8 it has no map that z scales
    return (side, side, 1)


def frequencies(*names, exclusive=()):
    """Of two photos for each combination of these attributes but the last, that of none."""
    combinations = np.float32(list(product((1, -1), repeat=len(names)))[:-1])
    return LabelFrequencies(names, combinations, np.full(len(combinations), 2), exclusive)


def run_of(folder, preset, conditions=0):
    """A run of a small network of this preset, of which every weight is something."""
    generator = uneven_generator(preset, shape_of(preset), conditions)
    condition = ",".join(("Male", "Smiling")[:conditions])
    folder.mkdir()
    generator.save(folder / "generator.keras")
    config = Config(preset, PRESETS[preset], 0, "train", 40, "abc", shape_of(preset), cache=True, condition=condition)
    configs.save(folder, config, {})
    if conditions:
        labels.save(folder, frequencies("Male", "Smiling"))
    return draw.load(folder / "generator.keras")


def inputs_of(network, count):
    random = np.random.default_rng(1)
    [first, *labels] = network.inputs
    values = {first.name: random.standard_normal((count, *first.shape[1:])).astype(np.float32)}
    if labels:
        values["labels"] = np.where(random.random((count, 2)) < 0.5, -1, 1).astype(np.float32)
    return values


def by_onnxruntime(path, values):
    import onnxruntime

    [images] = onnxruntime.InferenceSession(path).run(None, values)
    return images


def by_litert(path, values):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    for entry in interpreter.get_input_details():
        interpreter.resize_tensor_input(entry["index"], values[name_of(entry)].shape)
    interpreter.allocate_tensors()
    for entry in interpreter.get_input_details():
        interpreter.set_tensor(entry["index"], values[name_of(entry)])
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def name_of(entry):
    return entry["name"].removeprefix("serving_default_").partition(":")[0]


def by_tensorflow(path, values):
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    [images] = signature(**{name: tf.constant(value) for name, value in values.items()}).values()
    return images.numpy()


RUNTIMES = {"onnx": by_onnxruntime, "litert": by_litert, "saved_model": by_tensorflow}
NAMES = {"onnx": "generator.onnx", "litert": "generator.tflite", "saved_model": "generator"}


# LiteRT lacks the most operations, so every kind of layer is tried in it; sngan and r3gan have those that are replaced.
# Without labels, lite is compared in every format in test_documented_commands.py; with them, as a SavedModel below.
@pytest.mark.parametrize(
    ("preset", "conditions", "form"),
    [
        ("dcgan", 0, "litert"),
        ("sngan", 0, "litert"),
        ("lite", 2, "litert"),
        ("r3gan", 2, "litert"),
        ("classic", 0, "onnx"),
        ("sngan", 0, "onnx"),
        ("r3gan", 2, "onnx"),
    ],
)
def test_the_faces_are_those_of_keras_for_any_number_at_once(tmp_path, preset, conditions, form):
    generator = run_of(tmp_path / "run", preset, conditions)
    export.succeeds("--run", tmp_path / "run", "--format", form)
    draws_the_same(generator, form, tmp_path / "run" / NAMES[form])


def draws_the_same(generator, form, path):
    """Hold an exported generator against that of Keras."""
    for count in (1, 5):
        values = inputs_of(generator, count)
        expected = generator(values if "labels" in values else values["z"], training=False)
        np.testing.assert_allclose(RUNTIMES[form](path, values), expected, atol=1e-5)
        assert np.asarray(expected).std() > 1e-3


# Those with layers of their own: spectral convolutions, sums of a map's channels with weights, SAN's layer.
@pytest.mark.parametrize(
    ("preset", "conditions", "form"),
    [("classic", 0, "litert"), ("sngan", 2, "litert"), ("r3gan", 2, "litert"), ("lite", 2, "litert"),
     ("lite", 0, "onnx"), ("sngan", 0, "onnx")],
)  # fmt: skip
def test_a_discriminator_gives_the_logits_of_keras(tmp_path, preset, conditions, form):
    run = tmp_path / "run"
    run_of(run, preset, conditions)
    discriminator = uneven_discriminator(preset, shape_of(preset), conditions)
    discriminator.save(run / "discriminator.keras")
    export.succeeds("--run", run, "--network", "discriminator", "--format", form)
    name = NAMES[form].replace("generator", "discriminator")
    for count in (1, 5):
        values = inputs_of(discriminator, count)
        expected = discriminator(list(values.values()) if conditions else values["image"], training=False)[:, :1]
        np.testing.assert_allclose(RUNTIMES[form](run / name, values), expected, rtol=1e-4, atol=1e-5)
    assert np.std(expected) > 1e-3
    card = json.loads((run / f"{name}.json").read_text())
    assert [(entry["name"], entry["shape"][1:]) for entry in card["inputs"]] == [
        (name, list(array.shape[1:])) for name, array in values.items()
    ]
    assert card["output"]["shape"] == ["batch", 1]
    assert "directions" not in card


def test_a_run_without_a_discriminator_says_how_to_get_it(tmp_path):
    run_of(tmp_path / "run", "lite")
    output = export.is_refused("--run", tmp_path / "run", "--network", "discriminator", "--format", "onnx")
    assert "discriminator.keras is not there: the command that trained the run writes it" in output


def test_the_card_of_a_saved_model_says_what_goes_in_and_what_comes_out(tmp_path):
    generator = run_of(tmp_path / "run", "lite", 2)
    moves = Directions(("Smiling",), np.eye(1, 64, dtype=np.float32), np.ones(1, np.float32), np.ones(1, bool))
    directions.save(tmp_path / "run", moves)
    export.succeeds("--run", tmp_path / "run", "--format", "saved_model", "--out", tmp_path / "faces")
    draws_the_same(generator, "saved_model", tmp_path / "faces")
    card = json.loads((tmp_path / "faces.json").read_text())
    z, labels = card["inputs"]
    assert (z["name"], z["shape"], z["dtype"]) == ("z", ["batch", 64], "float32")
    assert "normal, mean 0" in z["distribution"]
    assert (labels["name"], labels["conditions"], labels["values"]) == ("labels", ["Male", "Smiling"], [-1, 1])
    assert card["output"]["shape"] == ["batch", 16, 16, 1]
    assert card["directions"] == {"Smiling": [1.0, *63 * [0.0]]}
    assert "scale the sum to the length" in card["use_of_directions"]
    inside = tf.saved_model.load(str(tmp_path / "faces")).signatures["about"]()["card"].numpy()
    assert json.loads(inside) == card, "a SavedModel says it too"
    assert (tmp_path / "faces").stat().st_mode & 0o777 == 0o755


def test_the_card_says_which_labels_exclude_each_other():
    [card] = label_inputs(frequencies("cats", "tame", "dogs", exclusive=("cats", "dogs")))
    assert (card["exclusive"], card["use_of_exclusive"]) == (("cats", "dogs"), "at most one of them is 1")
    [card] = label_inputs(frequencies("cats", "dogs", exclusive=("cats", "dogs")))
    assert card["use_of_exclusive"] == "exactly one of them is 1"
    [card] = label_inputs(frequencies("Male", "Smiling"))
    assert "exclusive" not in card


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "onnx", "--out", "none/faces.onnx"), "is not a folder"),
        (("--format", "onnx", "--out", "faces.png"), "ends in .onnx"),
        (("--format", "saved_model", "--out", "."), "is there already"),
        (("--format", "coreml"), "coreml"),
        (("--format", "onnx", "--out", f"{'a' * 250}.onnx"), "File name too long"),
        (("--format", "litert", "--out", "/proc/faces.tflite"), "choose another --out"),
    ],
)
def test_what_cannot_be_written_is_one_message(tmp_path, monkeypatch, arguments, message):
    run_of(tmp_path / "run", "classic")
    monkeypatch.chdir(tmp_path)
    assert message in export.is_refused("--run", "run", *arguments)


def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    run_of(tmp_path / "run", "classic")
    monkeypatch.setattr("explore.export.find_spec", lambda name: None)
    output = export.is_refused("--run", tmp_path / "run", "--format", "onnx")
    assert "pip install -r requirements-export.txt" in output


@pytest.mark.parametrize("form", NAMES)
def test_a_disk_that_is_full_in_the_end_is_one_message_and_leaves_the_folder_as_it_was(tmp_path, form):
    run = tmp_path / "run"
    run_of(run, "classic")
    if form != "saved_model":  # which replaces nothing
        (run / NAMES[form]).write_bytes(b"before")
    before = {path: path.read_bytes() for path in run.iterdir()}
    with full_disk():
        result = export("--run", run, "--format", form)
    assert result.exit_code == 1
    assert re.fullmatch(r"Error: \S+: File too large. Make room there, .* command again.\n", result.output)
    assert {path: path.read_bytes() for path in run.iterdir()} == before
