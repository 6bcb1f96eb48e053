"""One module a family of networks, as functions that build Keras models. Networks know no losses.

- `generator(image_shape, latent, width, conditions)`: from z [batch, latent], or [z, labels], to images [batch, height,
  width, channels] in [0, 1]; those of r3gan may leave that range, and are clipped where they are drawn.
- `discriminator(image_shape, width, conditions, san)`: from [images, *noise, *labels] to logits [batch, 1]. All of its
  randomness (dropout) comes as noise, uniform in [0, 1), so that it is a pure function of its inputs.

`image_shape` is (height, width, channels); `width` multiplies the channels of every hidden layer, 1 as in the family's
source (Howard et al. 2017, section 3.3); `conditions` is the number of labels, 0 for none. With `san` a discriminator
ends in SAN's layer (`conditioning.SlicedLogit`), and its output is [batch, 2].
"""

from collections.abc import Callable
from typing import NamedTuple

import keras

from training.models.networks import classic, dcgan, lite, r3gan, sngan


class Family(NamedTuple):
    """The two networks that belong together."""

    generator: Callable[..., keras.Model]
    discriminator: Callable[..., keras.Model]


FAMILIES = {
    "classic": Family(classic.generator, classic.discriminator),
    "dcgan": Family(dcgan.generator, dcgan.discriminator),
    "wgan_gp": Family(dcgan.generator, dcgan.critic),
    "sngan": Family(sngan.generator, sngan.discriminator),
    "r3gan": Family(r3gan.generator, r3gan.discriminator),
    "lite": Family(lite.generator, lite.discriminator),
}
