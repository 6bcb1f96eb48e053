"""Layers and sizes that several families share."""

from __future__ import annotations

import keras
import tensorflow as tf

from training.batch import ImageShape


class Dropout(keras.layers.Layer):
    """Dropout whose randomness is an input: [x, noise] -> x, noise uniform in [0, 1) and of x's shape.

    An element is dropped where its noise is below `rate`; what is left is divided by 1 - rate (Srivastava et al. 2014,
    inverted).
    """

    def __init__(self, rate: float, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Drop."""
        x, noise = inputs
        return tf.where(noise < self.rate, tf.zeros_like(x), x / (1.0 - self.rate))


@keras.saving.register_keras_serializable(package="training")
class SpectralConv2D(keras.layers.Layer):
    """A convolution whose kernel is divided by its largest singular value (Miyato et al. 2018, section 2.1).

    The kernel counts as a matrix [height * width * in, out]. Its singular value is v^T W u with the vectors of a power
    iteration, one iteration for each forward pass in training; the gradient flows through W, not through u and v
    (their equation 9). `keras.layers.SpectralNormalization` overwrites the kernel instead, so that nothing flows
    through the singular value. Padding is "same", there is a bias, and the initialisation is Glorot's, uniform, times
    `gain`.
    """

    def __init__(self, filters: int, kernel_size: int, gain: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.gain = filters, kernel_size, gain

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make kernel, bias and u."""
        # Not cast to bfloat16 on use: eight bits would be the precision of the singular value.
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, input_shape[-1], self.filters),
            initializer=keras.initializers.VarianceScaling(self.gain**2, mode="fan_avg", distribution="uniform"),
            autocast=False,
        )
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")
        # Every replica has the same kernel and finds the same u: any one of them will do.
        self.u = self.add_weight(
            name="u",
            shape=(self.filters,),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
        )

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Convolve with the normalised kernel."""
        kernel = tf.cast(self.kernel / self.singular_value(training), self.compute_dtype)
        return tf.nn.bias_add(tf.nn.conv2d(inputs, kernel, 1, "SAME"), tf.cast(self.bias, self.compute_dtype))

    def singular_value(self, training: bool = False) -> tf.Tensor:
        """The estimate of the kernel's largest singular value, a scalar; in training u takes one step first."""
        matrix = tf.reshape(self.kernel, [-1, self.filters])
        constant = tf.stop_gradient(matrix)
        u = tf.math.l2_normalize(tf.convert_to_tensor(self.u))
        v = tf.math.l2_normalize(tf.linalg.matvec(constant, u))
        if training:
            u = tf.math.l2_normalize(tf.linalg.matvec(constant, v, transpose_a=True))
            self.u.assign(u)
        return tf.tensordot(v, tf.linalg.matvec(matrix, u), 1)

    def get_config(self) -> dict:
        """What `__init__` takes."""
        return {**super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size, "gain": self.gain}


def mixes_examples(network: keras.Model) -> bool:
    """Whether a network's output for an example depends on the others that it is computed with, or on passes before.

    BatchNormalization has the statistics of a batch, spectral normalisation goes one step of its power iteration a
    pass. Replicas share both.
    """
    return any(isinstance(layer, (keras.layers.BatchNormalization, SpectralConv2D)) for layer in network.layers)


def native_groups(convolution: keras.layers.Conv2D) -> keras.layers.Conv2D:
    """Let a grouped convolution (stride 1) run TensorFlow's own kernels; return it.

    Keras compiles grouped convolutions with XLA, because TensorFlow once had none on CPUs. For 1536 channels in 96
    groups on 8x8 the gradient took 3.1 s that way on 2 cores, and takes 4 ms with oneDNN's kernels. The layer stays a
    `keras.layers.Conv2D`, so that a saved model opens in Keras alone.
    """
    convolution.convolution_op = lambda inputs, kernel: tf.nn.conv2d(inputs, kernel, 1, convolution.padding.upper())
    return convolution


def blur() -> keras.layers.DepthwiseConv2D:
    """A fixed [1, 2, 1] / 4 low-pass filter in both directions; beyond the edge are zeros.

    After doubling each pixel, or before the mean of 2x2, it makes the [1, 3, 3, 1] resampling of StyleGAN2 (Karras et
    al. 2020) and R3GAN. `tf.image.resize` has no second derivative for gradient penalties.
    """
    taps = (0.25, 0.5, 0.25)
    return keras.layers.DepthwiseConv2D(
        3,
        padding="same",
        use_bias=False,
        depthwise_initializer=keras.initializers.Constant([[[[a * b]] for a in taps] for b in taps]),
        trainable=False,
    )


def scaled_channels(channels: int, width: float) -> int:
    """Return `width` times as many channels, a multiple of 8, for CPU vectors, tensor cores and R3GAN's groups."""
    return max(8, 8 * round(channels * width / 8))


def num_upsamplings(image_shape: ImageShape) -> int:
    """Return how often a 4x4 map is doubled to reach the image.

    Raises ValueError where it is not square with a side of 8, 16, 32, ..., or has not 1 or 3 channels.
    """
    height, width, channels = image_shape
    times = (height // 4).bit_length() - 1
    if height != width or height != 4 * 2**times or times < 1 or channels not in (1, 3):
        raise ValueError(
            f"Networks build for square images of 8, 16, 32, 64, ... pixels and 1 or 3 channels, not {image_shape}"
        )
    return times
