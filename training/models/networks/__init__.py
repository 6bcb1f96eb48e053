"""One module a family: `generator(image_shape, latent, width, conditions)` and `discriminator`, the same but for z.

`width` multiplies the channels of every hidden layer, 1 as in the family's source (Howard et al. 2017, section 3.3).
`conditions` is the number of labels; with 0 there is no such input.
A generator is a `keras.Model` from z [batch, latent], or from [z, labels], to images [batch, height, width, channels]
in [0, 1]; those of r3gan may leave that, and are clipped where they are drawn.
A discriminator is a `keras.Model` from [images, *noise, *labels] to logits [batch, 1]: whatever randomness it needs
(dropout) comes as further inputs, uniform in [0, 1), so that it is a pure function of its inputs.
Networks know no losses.
"""

from importlib import import_module
from types import ModuleType


def family(name: str) -> ModuleType:
    """Return the module of a family of networks."""
    return import_module(f"{__name__}.{name}")
