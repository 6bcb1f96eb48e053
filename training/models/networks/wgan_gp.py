"""WGAN-GP (Gulrajani et al. 2017): DCGAN's generator, and its discriminator without BatchNormalization as critic.

The gradient penalty is on each image's own gradient, and BatchNormalization would mix the batch (their section 4).
"""

from __future__ import annotations

import keras

from training.models.networks import dcgan

generator = dcgan.generator


def discriminator(image_shape: tuple[int, int, int], width: float = 1.0, conditions: int = 0) -> keras.Model:
    """DCGAN's discriminator with He's initialisation (He et al. 2015) in the place of BatchNormalization."""
    return dcgan.discriminator(image_shape, width, conditions, False, keras.initializers.HeNormal)
