"""A generator as data: its layers in the order in which they are computed, for programs without Keras."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from click import UsageError

# kind, the indices of the inputs, settings, and the names of weights in base64, as float16 or float32.
Layer = dict[str, Any]


def describe(generator: keras.Model) -> list[Layer]:
    """Return a generator's layers: each has "kind", "inputs" (indices in the list), its settings, and its weights.

    Kernels are float16, little-endian, which halves what must be sent and moves pixels by less than 2 of 255; what is
    small stays float32. Normalisation is a scale and a shift.

    Raises:
        UsageError: the page cannot compute one of its layers.
    """
    described: list[Layer] = []
    indices: dict[int, int] = {}
    for layer in generator.layers:
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        kind = type(layer).__name__
        if kind not in _KINDS:
            raise UsageError(f"A layer of the kind {kind} is not known: the page cannot compute this generator.")
        sources = [] if kind == "InputLayer" else [indices[id(tensor)] for tensor in inputs]
        described.append(
            {"kind": kind, "inputs": sources, "shape": list(layer.output.shape[1:]), **_KINDS[kind](layer)}
        )
        indices[id(layer.output)] = len(described) - 1
    return described


def _half(values: object) -> dict[str, str]:
    return {"half": base64.b64encode(np.asarray(values).astype("<f2").tobytes()).decode()}


def _single(values: object) -> dict[str, str]:
    return {"single": base64.b64encode(np.asarray(values).astype("<f4").tobytes()).decode()}


def _kernel_and_bias(layer: keras.layers.Layer) -> Layer:
    entry = {"kernel": _half(layer.kernel), "activation": layer.activation.__name__}
    return entry | ({"bias": _single(layer.bias)} if layer.bias is not None else {})


def _convolution(layer: keras.layers.Conv2D) -> Layer:
    return _kernel_and_bias(layer) | {"size": layer.kernel.shape[0], "groups": layer.groups}


def _transposed(layer: keras.layers.Conv2DTranspose) -> Layer:
    kernel = np.asarray(layer.kernel).swapaxes(2, 3)  # [height, width, in, out], as of a convolution
    return _kernel_and_bias(layer) | {"kernel": _half(kernel), "size": kernel.shape[0], "stride": layer.strides[0]}


def _normalisation(layer: keras.layers.BatchNormalization) -> Layer:
    mean, variance, gamma, beta = (
        np.asarray(weight, np.float64) for weight in (layer.moving_mean, layer.moving_variance, layer.gamma, layer.beta)
    )
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return {"scale": _single(scale), "shift": _single(beta - mean * scale)}


_KINDS: dict[str, Callable[[keras.layers.Layer], Layer]] = {
    "InputLayer": lambda layer: {"name": layer.name},
    "Dense": _kernel_and_bias,
    "EinsumDense": lambda layer: {"kernel": _half(layer.kernel)},
    "Reshape": lambda layer: {},
    "Concatenate": lambda layer: {},
    "Add": lambda layer: {},
    "Multiply": lambda layer: {},
    "UpSampling2D": lambda layer: {},
    "ReLU": lambda layer: {"slope": 0.0},
    "LeakyReLU": lambda layer: {"slope": float(layer.negative_slope)},
    "Rescaling": lambda layer: {"scale": float(layer.scale), "offset": float(layer.offset)},
    "BatchNormalization": _normalisation,
    "Conv2D": _convolution,
    "Conv2DTranspose": _transposed,
    "DepthwiseConv2D": lambda layer: {"kernel": _single(layer.kernel), "size": layer.kernel.shape[0]},
}
