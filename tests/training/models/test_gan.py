"""How the networks are built: in which precision, from which seed."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from training.models.gan import Progress, build
from training.models.precision import computing_in
from training.presets import PRESETS

METHOD = replace(PRESETS["classic"], latent=4)


@pytest.mark.parametrize(("precision", "policy"), [("float32", "float32"), ("bfloat16", "mixed_bfloat16")])
def test_layers_compute_in_this_precision_within_the_block_and_as_before_behind_it(precision, policy):
    with computing_in(precision):
        assert keras.config.dtype_policy().name == policy
    assert keras.config.dtype_policy().name == "float32"
    with pytest.raises(KeyError), computing_in(precision):
        raise KeyError
    assert keras.config.dtype_policy().name == "float32"


def weights(seed, method=METHOD):
    gan = build(method, (8, 8, 1), seed, Progress(5))
    networks = (gan.generator, gan.discriminator)
    return gan, [weight.numpy() for network in networks for weight in network.weights]


def test_the_seed_decides_the_weights():
    first, again, other = (weights(seed)[1] for seed in (3, 3, 4))
    assert all(np.array_equal(here, there) for here, there in zip(first, again, strict=True))
    assert not all(np.array_equal(here, there) for here, there in zip(first, other, strict=True))


def test_the_average_begins_as_the_generator():
    gan, _ = weights(3)
    for average, weight in zip(gan.generator_ema.weights, gan.generator.weights, strict=True):
        assert np.array_equal(average.numpy(), weight.numpy())
