"""How the networks are built: in which precision, from which seed."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.small_gan import flat
from training.models.gan import Progress, build, for_inference
from training.models.networks.layers import Dropout
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


def test_the_probability_adapts_as_in_ada_s_code_and_ends_at_1():
    """Against the lines of the authors' training_loop.py, which update every 4 batches by the mean of all signs."""
    method = replace(METHOD, batch_size=30, augment_target=0.6, augment_kimg=0.5)
    signs = np.random.default_rng(0).choice([-1, 1], (48, 30), p=[0.2, 0.8])
    signs[12:32] = 1
    progress, augment_p, expected, adapted = Progress(5), 0.0, [], []
    for batch_idx, batch in enumerate(signs, 1):
        progress.step.assign_add(1)
        progress.adapt(method, tf.constant(batch.mean(), tf.float64))
        adapted.append(progress.augment_probability.numpy())
        if batch_idx % 4 == 0:
            adjust = np.sign(signs[batch_idx - 4 : batch_idx].mean() - 0.6) * (30 * 4) / (0.5 * 1000)
            augment_p = min(max(augment_p + adjust, 0.0), 1.0)
        expected.append(augment_p)
    np.testing.assert_allclose(adapted, expected, atol=1e-12)
    assert {0.0, 1.0} < set(np.round(adapted, 2)), "both ends and what is between"


def weights(seed):
    gan = build(METHOD, (8, 8, 1), seed, Progress(5))
    return [*gan.generator.get_weights(), *gan.discriminator.get_weights()]


def test_the_seed_decides_the_weights():
    first, again, other = (flat(weights(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_average_begins_as_the_generator():
    gan = build(METHOD, (8, 8, 1), 3, Progress(5))
    np.testing.assert_equal(gan.generator_ema.get_weights(), gan.generator.get_weights())


@pytest.mark.parametrize(("name", "conditions"), [("classic", 0), ("classic", 2), ("lite", 2), ("r3gan", 0)])
def test_a_judge_of_faces_is_the_discriminator_in_float32_without_dropout(name, conditions):
    random = np.random.default_rng(0)
    method = replace(PRESETS[name], width=0.125, precision="float32")
    exact, rounded = (
        build(replace(method, precision=precision), (16, 16, 1), 3, Progress(5), conditions).discriminator
        for precision in ("float32", "bfloat16")
    )
    images, labels = (
        random.random((4, 16, 16, 1), np.float32),
        np.where(random.random((4, conditions)) < 0.5, -1.0, 1.0),
    )
    noise = [np.zeros((4, *entry.shape[1:])) for entry in exact.inputs[1:] if entry.name != "labels"]
    for layer in exact.layers:
        if isinstance(layer, Dropout):
            layer.rate = 0.0
    for _ in range(2):  # at a second save it has the weights of that time
        weights = [weight + 0.1 * random.standard_normal(weight.shape) for weight in exact.get_weights()]
        exact.set_weights(weights)
        rounded.set_weights(weights)
        judge = for_inference(rounded)
        assert {layer.compute_dtype for layer in judge.layers} == {"float32"}
        expected = exact([images, *noise, *([labels] if conditions else [])], training=False)
        logits = judge([images, labels] if conditions else images, training=False)
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
