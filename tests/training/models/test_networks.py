import keras
import numpy as np
import pytest

from training.models.networks import FAMILIES, classic
from training.models.networks.layers import scaled_channels


def test_classic_has_the_sizes_of_the_specification():
    generator, discriminator = classic.generator((64, 64, 1), 100), classic.discriminator((64, 64, 1))
    convolutions = [layer for layer in generator.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    assert [(c.filters, c.kernel_size, c.strides) for c in convolutions] == [
        (n, (3, 3), (2, 2)) for n in (256, 128, 64, 1)
    ]
    # By hand: 3*3*1*64 + 64, 3*3*64*64 + 64, 16*16*64 + 1.
    assert discriminator.count_params() == 640 + 36_928 + 16_385


@pytest.mark.parametrize("shape", [(16, 16, 3), (128, 128, 3)])
@pytest.mark.parametrize("name", ["classic", "dcgan", "wgan_gp", "sngan", "lite"])
def test_networks_build_for_the_shape_of_the_shards(name, shape):
    networks = FAMILIES[name]
    images = networks.generator(shape, 10, 0.125)(np.random.default_rng(0).uniform(-1, 1, (2, 10))).numpy()
    assert images.shape == (2, *shape)
    assert 0 <= images.min() < images.max() <= 1
    discriminator = networks.discriminator(shape, 0.125)
    noise = [np.full((2, *entry.shape[1:]), 0.5, np.float32) for entry in discriminator.inputs[1:]]
    assert discriminator([images, *noise]).shape == (2, 1)


@pytest.mark.parametrize("name", FAMILIES)
def test_width_multiplies_the_channels_of_every_layer(name):
    def filters(width):
        networks = FAMILIES[name].generator((16, 16, 1), 10, width), FAMILIES[name].discriminator((16, 16, 1), width)
        return [layer.filters for network in networks for layer in network.layers if hasattr(layer, "filters")]

    assert filters(0.25) == [count if count == 1 else max(8, count // 4) for count in filters(1.0)]


def test_channels_are_whole_eights_and_one_of_them_at_least():
    assert [scaled_channels(64, width) for width in (0.001, 0.125, 0.2, 0.3, 1.0, 1.51)] == [8, 8, 16, 16, 64, 96]
