"""The shape of DCGAN, 32 wide, without normalisation in D.

`bottleneck` took its place in the preset `lite`; runs that began with it still have it.
"""

from __future__ import annotations

import keras
from keras import layers

from training.models.networks import dcgan
from training.models.networks.conditioning import generator_inputs
from training.models.precision import full_precision

_OF_DCGAN = 0.5  # factor of its channels: 32 next to the image


def generator(
    image_shape: tuple[int, int, int], latent: int, width: float = 1.0, conditions: int = 0, modulated: bool = False
) -> keras.Model:
    """Dense to 4x4, then transposed convolutions.

    Where it is `modulated`, z (and the labels) also scale the channels of every map after 4x4, by 1 at the start
    (self-modulation, Chen et al. 2019, "On Self Modulation for Generative Adversarial Networks", here linear and
    without shift).
    """
    first, *others = reversed(dcgan.widths(image_shape, _OF_DCGAN * width))
    inputs, z = generator_inputs(latent, conditions)

    def normalised(x: keras.KerasTensor) -> keras.KerasTensor:
        # Keras's momentum of 0.99 leaves half of the start's statistics after 69 steps: what is drawn after a short
        # first epoch is plain grey. Runs that began with it keep it.
        return layers.BatchNormalization(momentum=0.9 if modulated else 0.99, synchronized=True)(x)

    x = layers.Dense(4 * 4 * first, use_bias=False)(z)
    x = layers.LeakyReLU(0.2)(normalised(layers.Reshape((4, 4, first))(x)))
    for filters in others:
        x = normalised(layers.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False)(x))
        if modulated:  # in float32: in bfloat16 a product near 1 would be rounded once more
            scales = layers.Dense(filters, kernel_initializer="zeros", bias_initializer="ones", dtype=full_precision())(
                z
            )
            x = layers.Multiply()([x, layers.Reshape((1, 1, filters))(scales)])
        x = layers.LeakyReLU(0.2)(x)
    image = layers.Conv2DTranspose(
        image_shape[-1], 4, strides=2, padding="same", activation="sigmoid", dtype=full_precision()
    )(x)
    return keras.Model(inputs, image, name="generator")


def discriminator(
    image_shape: tuple[int, int, int], width: float = 1.0, conditions: int = 0, bottlenecks: int = 0
) -> keras.Model:
    """DCGAN's, without normalisation and with Glorot's initialisation."""
    initializer = keras.initializers.GlorotUniform
    return dcgan.discriminator(image_shape, _OF_DCGAN * width, conditions, False, initializer, bottlenecks)
