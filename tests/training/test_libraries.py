"""What files, variables and other code set in the libraries decides nothing: the command is given where it is so."""

import json
import os
import subprocess
import sys

import keras

from tests.training.runs import SMALL, losses, run

# A notebook that used the libraries for something else before.
NOTEBOOK = """
import keras, matplotlib, numpy
keras.config.set_floatx("float16")
keras.config.set_dtype_policy("mixed_float16")
keras.config.set_epsilon(0.1)
keras.config.set_image_data_format("channels_first")
matplotlib.rcParams["savefig.dpi"] = 300
numpy.seterr(all="raise")
import sys
from training.run import main
main(sys.argv[1:])
"""
MATPLOTLIBRC = "lines.linewidth: 9\nsavefig.bbox: tight\nsavefig.facecolor: red\n"


def start(options, *python, **variables):
    """Start a short run by Python with these arguments and variables."""
    return subprocess.Popen(
        [sys.executable, *python, *map(str, options)],
        env={**os.environ, **variables}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_a_run_is_the_same_whatever_the_libraries_were_told(finished, tmp_path):
    data, undisturbed = finished[0] / "data", finished[0] / "run"

    def options(name):
        return ("--shards", data, *SMALL, "--epochs", 3, "--out", tmp_path / name)

    settings = {"floatx": "float16", "epsilon": 0.1, "backend": "torch", "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    (tmp_path / "matplotlibrc").write_text(MATPLOTLIBRC)
    processes = {
        "variables": start(
            options("variables"), "-m", "training.run",
            KERAS_HOME=str(tmp_path), KERAS_BACKEND="jax", KERAS_MAX_EPOCHS="many", MPLBACKEND="nonsense",
            MATPLOTLIBRC=str(tmp_path), ONEDNN_DEFAULT_FPMATH_MODE="BF16", TF_SET_ONEDNN_FPMATH_MODE="BF16",
        ),
        "notebook": start(options("notebook"), "-c", NOTEBOOK, KERAS_HOME=str(tmp_path / "none")),
    }  # fmt: skip
    for process in processes.values():
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
    for name in processes:
        assert losses(tmp_path / name) == losses(undisturbed)
        assert (tmp_path / name / "losses.png").read_bytes() == (undisturbed / "losses.png").read_bytes()
        generator = keras.saving.load_model(tmp_path / name / "generator.keras", compile=False)
        assert {layer.compute_dtype for layer in generator.layers} == {"float32"}


def test_keras_with_another_backend_is_refused_in_a_sentence(shard_folder, monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    assert "imported with the backend torch" in run.is_refused("--shards", shard_folder)
