"""How the networks are built: in which precision, from which seed."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.training.every_preset import uneven_generator
from training.models.gan import build
from training.models.precision import computing_in, in_full_precision
from training.models.progress import Progress
from training.presets import PRESETS
from training.schedule import CosineSchedule

METHOD = replace(PRESETS["classic"], latent=4)


@pytest.mark.parametrize(("precision", "policy"), [("float32", "float32"), ("bfloat16", "mixed_bfloat16")])
def test_layers_compute_in_this_precision_within_the_block_and_as_before_behind_it(precision, policy):
    with computing_in(precision):
        assert keras.config.dtype_policy().name == policy
    assert keras.config.dtype_policy().name == "float32"
    with pytest.raises(KeyError), computing_in(precision):
        raise KeyError
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("conditions", [0, 2])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_network_in_full_precision_is_the_one_that_was_built_so(preset, conditions):
    expected = uneven_generator(preset, (8, 8, 1), conditions)
    with computing_in("bfloat16"):
        rough = uneven_generator(preset, (8, 8, 1), conditions)
    found = in_full_precision(rough)
    for weight, same in zip(found.weights, rough.weights, strict=True):
        np.testing.assert_array_equal(weight, same)
    random = np.random.default_rng(0)
    z = random.standard_normal((4, PRESETS[preset].latent)).astype(np.float32)
    values = [z, np.float32([[1, 1], [1, -1], [-1, 1], [-1, -1]])] if conditions else z
    found.set_weights(expected.get_weights())
    np.testing.assert_allclose(found(values, training=False), expected(values, training=False), atol=1e-6)
    assert in_full_precision(expected) is expected


def weights(seed, method=METHOD):
    gan = build(method, (8, 8, 1), seed, Progress())
    networks = (gan.generator.network, gan.discriminator.network)
    return gan, [weight.numpy() for network in networks for weight in network.weights]


def test_the_seed_decides_the_weights():
    first, again, other = (weights(seed)[1] for seed in (3, 3, 4))
    assert all(np.array_equal(here, there) for here, there in zip(first, again, strict=True))
    assert not all(np.array_equal(here, there) for here, there in zip(first, other, strict=True))


def test_the_average_begins_as_the_generator_and_is_the_generator_where_there_is_none():
    gan, _ = weights(3)
    assert gan.generator_ema is gan.generator.network
    gan, _ = weights(3, replace(METHOD, ema_kimg=CosineSchedule(1.0)))
    assert gan.generator_ema is not gan.generator.network
    for average, weight in zip(gan.generator_ema.weights, gan.generator.network.weights, strict=True):
        assert np.array_equal(average.numpy(), weight.numpy())


def test_the_average_computes_in_float32_whatever_training_computes_in():
    gan, _ = weights(3, replace(METHOD, precision="bfloat16", ema_kimg=CosineSchedule(1.0)))
    assert {layer.compute_dtype for layer in gan.generator_ema.layers} == {"float32"}
