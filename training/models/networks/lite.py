"""This project's network for CPUs: DCGAN's shape, 32 channels next to the image, with depth where it is cheap.

G: z at every map (self-modulation), and a bottleneck block at 4x4, 8x8 and 16x16. D: no normalisation, and a block at
8x8 and 4x4. Blocks add an eighth to G's multiplications and a twelfth to D's. What each brings: docs/presets.md.
"""

from __future__ import annotations

import keras
from keras import layers

from training.batch import ImageShape
from training.models.networks import dcgan
from training.models.networks.conditioning import discriminator_labels, generator_inputs, logit
from training.models.networks.layers import scaled_channels
from training.models.precision import full_precision


def generator(image_shape: ImageShape, latent: int, width: float = 1.0, conditions: int = 0) -> keras.Model:
    """Dense to 4x4, then transposed convolutions of stride 2 whose channels z scales, by 1 at the start.

    The scales are linear in z and its labels, without shift; Chen et al. 2019, "On Self Modulation for Generative
    Adversarial Networks", have a small network for both.
    """
    first, *others = reversed(dcgan.widths(image_shape, width / 2))
    inputs, z = generator_inputs(latent, conditions)
    x = layers.Reshape((4, 4, first))(layers.Dense(4 * 4 * first, use_bias=False)(z))
    x = _bottleneck(layers.LeakyReLU(0.2)(_normalisation()(x)))
    for filters in others:
        x = layers.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False)(x)
        x = _normalisation()(x)
        # In float32: in bfloat16 a product near 1 would be rounded once more.
        scale = layers.Dense(filters, kernel_initializer="zeros", bias_initializer="ones", dtype=full_precision())(z)
        x = layers.LeakyReLU(0.2)(layers.Multiply()([x, layers.Reshape((1, 1, filters))(scale)]))
        if x.shape[1] <= 16:
            x = _bottleneck(x)
    image = layers.Conv2DTranspose(
        image_shape[-1], 4, strides=2, padding="same", activation="sigmoid", dtype=full_precision()
    )(x)
    return keras.Model(inputs, image, name="generator")


def _normalisation() -> layers.BatchNormalization:
    # Momentum 0.99, Keras's default, leaves half of the initial statistics after 69 steps: the faces of a short first
    # epoch are then plain grey.
    return layers.BatchNormalization(momentum=0.9, synchronized=True)


def discriminator(image_shape: ImageShape, width: float = 1.0, conditions: int = 0, san: bool = False) -> keras.Model:
    """4x4 convolutions of stride 2 with LeakyReLU, down to 4x4, then one logit."""
    image = keras.Input(image_shape, name="image")
    x = layers.Rescaling(2.0, -1.0, dtype=full_precision())(image)
    for filters in dcgan.widths(image_shape, width / 2):
        x = layers.LeakyReLU(0.2)(layers.Conv2D(filters, 4, strides=2, padding="same")(x))
        if x.shape[1] <= 8:
            x = _bottleneck(x)
    x = layers.Flatten()(x)
    labels = discriminator_labels(conditions)
    end = logit(lambda count: layers.Dense(count, dtype=full_precision())(x), x, labels, san)
    return keras.Model([image, *labels], end, name="discriminator")


def _bottleneck(x: keras.KerasTensor) -> keras.KerasTensor:
    """Add a 3x3 convolution between two of 1x1, in a quarter of the channels (He et al. 2016, figure 5).

    Here without normalisation, and linear after the sum.
    """
    channels = x.shape[-1]
    inner = scaled_channels(channels, 0.25)
    h = layers.LeakyReLU(0.2)(layers.Conv2D(inner, 1)(x))
    h = layers.LeakyReLU(0.2)(layers.Conv2D(inner, 3, padding="same")(h))
    return layers.Add()([x, layers.Conv2D(channels, 1, use_bias=False)(h)])
