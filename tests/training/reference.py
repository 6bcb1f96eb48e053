"""The networks a second time, in float64 NumPy, written from the papers: the same weights must give the same numbers.

Images and maps are [batch, height, width, channels]; beyond the edge of a map are zeros ("same" padding).
"""

import re
from collections import defaultdict

import numpy as np

SMALL = 1e-3  # what Keras's BatchNormalization adds to the variance
SLOPE = float(np.float32(0.2))  # TensorFlow's operation keeps it so, in float64 too


class Weights:
    """The weights of a Keras network, layer for layer of a kind in the order in which they were made."""

    def __init__(self, network):
        self._layers = defaultdict(list)
        for layer in network.layers:
            if layer.weights:
                self._layers[type(layer).__name__].append(layer)
        for layers in self._layers.values():
            layers.sort(key=lambda layer: self._number(layer.name))

    @staticmethod
    def _number(name):
        """Keras counts the layers of a kind: dense, dense_1, dense_2."""
        counted = re.search(r"_(\d+)$", name)
        return int(counted[1]) if counted else 0

    def __call__(self, kind):
        """The next layer's weights as float64."""
        return [np.asarray(weight, np.float64) for weight in self._layers[kind].pop(0).weights]

    def are_used_up(self):
        """Whether the reference has as many layers as the network."""
        return not any(layers for kind, layers in self._layers.items() if kind != "DepthwiseConv2D")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def leaky(x, slope=SLOPE):
    return np.where(x > 0, x, slope * x)


def convolve(x, kernel, bias=0.0, stride=1):
    """Correlate x with a kernel [height, width, in, out]."""
    size, side = kernel.shape[0], x.shape[1]
    out = -(-side // stride)
    padding = max((out - 1) * stride + size - side, 0)
    x = np.pad(x, ((0, 0), *[(padding // 2, padding - padding // 2)] * 2, (0, 0)))
    reach = (out - 1) * stride + 1
    return bias + sum(
        x[:, i : i + reach : stride, j : j + reach : stride] @ kernel[i, j] for i in range(size) for j in range(size)
    )


def grouped(x, kernel, bias, groups):
    """Convolve each group of channels by itself."""
    parts = zip(np.split(x, groups, -1), np.split(kernel, groups, -1), strict=True)
    return bias + np.concatenate([convolve(part, own) for part, own in parts], -1)


def transposed(x, kernel, bias=0.0):
    """Spread each pixel over twice the map by a kernel [height, width, out, in]: what is transposed is stride 2."""
    batch, side, _, _ = x.shape
    size = kernel.shape[0]
    spread = np.zeros((batch, 2 * side + size, 2 * side + size, kernel.shape[2]))
    for i in range(size):
        for j in range(size):
            spread[:, i : i + 2 * side : 2, j : j + 2 * side : 2] += x @ kernel[i, j].T
    cut = (size - 2) // 2
    return bias + spread[:, cut : cut + 2 * side, cut : cut + 2 * side]


def normalised(x, weights, epsilon=SMALL, training=True):
    gamma, beta, mean, variance = weights
    if training:
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def blurred(x):
    """[1, 2, 1] / 4 in both directions."""
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    channels = x.shape[-1]
    return convolve(x, kernel[:, :, None, None] * np.eye(channels))


def doubled(x):
    return x.repeat(2, 1).repeat(2, 2)


def halved(x):
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean((2, 4))


# The specification's networks, those of the tutorial.


def classic_generator(z, weights, num_upsamplings):
    kernel, bias = weights("Dense")
    x = (z @ kernel + bias).reshape(len(z), 4, 4, -1)
    for _ in range(num_upsamplings - 1):
        x = normalised(leaky(transposed(x, *weights("Conv2DTranspose"))), weights("BatchNormalization"))
    return sigmoid(transposed(x, *weights("Conv2DTranspose")))


def classic_discriminator(images, noises, weights):
    x = images
    for noise in noises:
        x = leaky(convolve(x, *weights("Conv2D"), stride=2))
        x = np.where(noise < 0.4, 0, x / 0.6)
    kernel, bias = weights("Dense")
    return x.reshape(len(x), -1) @ kernel + bias


# Radford et al. 2016, section 4; lite is of its shape.


def bottleneck(x, weights):
    """He et al. 2016, without normalisation: 3x3 between two of 1x1, added."""
    inside = leaky(convolve(leaky(convolve(x, *weights("Conv2D"))), *weights("Conv2D")))
    return x + convolve(inside, *weights("Conv2D"))


def dcgan_generator(z, weights, num_upsamplings):
    (kernel,) = weights("Dense")
    x = (z @ kernel).reshape(len(z), 4, 4, -1)
    x = leaky(normalised(x, weights("BatchNormalization"), 1e-5), 0)
    for _ in range(num_upsamplings - 1):
        x = transposed(x, *weights("Conv2DTranspose"))
        x = leaky(normalised(x, weights("BatchNormalization"), 1e-5), 0)
    return transposed(x, *weights("Conv2DTranspose"))


def lite_generator(z, weights, num_upsamplings):
    """That of DCGAN; z scales every map, and those of up to 16x16 have a bottleneck."""
    (kernel,) = weights("Dense")
    x = (z @ kernel).reshape(len(z), 4, 4, -1)
    x = bottleneck(leaky(normalised(x, weights("BatchNormalization"), SMALL)), weights)
    for _ in range(num_upsamplings - 1):
        x = normalised(transposed(x, *weights("Conv2DTranspose")), weights("BatchNormalization"), SMALL)
        kernel, bias = weights("Dense")
        x = leaky(x * (z @ kernel + bias)[:, None, None, :])
        if x.shape[1] <= 16:
            x = bottleneck(x, weights)
    return sigmoid(transposed(x, *weights("Conv2DTranspose")))


def dcgan_discriminator(images, weights, num_upsamplings, with_normalisation, bottlenecks=0):
    x = 2 * images - 1
    for index in range(num_upsamplings):
        x = convolve(x, *weights("Conv2D"), stride=2)
        if with_normalisation and index > 0:
            x = normalised(x, weights("BatchNormalization"), 1e-5)
        x = leaky(x)
        if index >= num_upsamplings - bottlenecks:
            x = bottleneck(x, weights)
    kernel, bias = weights("Dense")
    return x.reshape(len(x), -1) @ kernel + bias


# Miyato et al. 2018, its ResNets.


def sngan_generator(z, weights, num_upsamplings):
    kernel, bias = weights("Dense")
    x = (z @ kernel + bias).reshape(len(z), 4, 4, -1)
    for _ in range(num_upsamplings):
        shortcut = convolve(doubled(x), *weights("Conv2D"))
        x = doubled(leaky(normalised(x, weights("BatchNormalization"), 1e-5), 0))
        x = convolve(x, *weights("Conv2D"))
        x = leaky(normalised(x, weights("BatchNormalization"), 1e-5), 0)
        x = shortcut + convolve(x, *weights("Conv2D"))
    x = leaky(normalised(x, weights("BatchNormalization"), 1e-5), 0)
    return np.tanh(convolve(x, *weights("Conv2D"))) / 2 + 0.5


def spectral(x, weights):
    """Convolve with the kernel over its singular value along u: |W u|, u of length 1."""
    kernel, bias, u = weights("SpectralConv2D")
    matrix = kernel.reshape(-1, kernel.shape[-1])
    return convolve(x, kernel / np.linalg.norm(matrix @ u / np.linalg.norm(u)), bias)


def sngan_discriminator(images, weights, num_upsamplings):
    x = 2 * images - 1
    for index in range(num_upsamplings + 1):
        if index == 0:  # the shortcut is averaged first, and no ReLU comes before the first convolution
            shortcut = spectral(halved(x), weights)
            inside = spectral(x, weights)
        else:
            shortcut = halved(spectral(x, weights))
            inside = spectral(leaky(x, 0), weights)
        x = shortcut + halved(spectral(leaky(inside, 0), weights))
    return spectral(leaky(x, 0).sum((1, 2), keepdims=True), weights)[:, 0, 0]


# Huang et al. 2024, R3GAN.


def r3gan_stage(x, weights, blocks=2):
    for _ in range(blocks):
        y = leaky(convolve(x, *weights("Conv2D")))
        y = leaky(grouped(y, *weights("Conv2D"), groups=2 * x.shape[-1] // 16))
        x = x + convolve(y, *weights("Conv2D"))
    return x


def r3gan_generator(z, weights, widths):
    (basis_of_z,), (patterns,) = weights("Dense"), weights("EinsumDense")
    x = r3gan_stage((z @ basis_of_z)[:, None, None] * patterns, weights)
    for width in widths[1:]:
        if width != x.shape[-1]:
            x = convolve(x, *weights("Conv2D"))
        x = r3gan_stage(blurred(doubled(x)), weights)
    return convolve(x, *weights("Conv2D")) / 2 + 0.5


def r3gan_discriminator(images, weights, widths):
    x = convolve(2 * images - 1, *weights("Conv2D"))
    for width in reversed(widths[:-1]):
        x = halved(blurred(r3gan_stage(x, weights)))
        if width != x.shape[-1]:
            x = convolve(x, *weights("Conv2D"))
    (patterns,) = weights("EinsumDense")
    x = (r3gan_stage(x, weights) * patterns).sum((1, 2))
    return x @ weights("Dense")[0]
