"""Steps come to the same however they are computed: compiled, by XLA, over devices, in parts, in bfloat16."""

from contextlib import contextmanager
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from click import UsageError

from tests.training.every_preset import OVER, over_two
from tests.training.small_gan import (
    METHOD,
    SHAPE,
    dense_family,
    flat,
    labels_of,
    photos,
    unrounded_parts_in,
    with_plain_descent,
)
from training.batch import Batch
from training.config import Config
from training.loop.engine import build_on, compile_steps, means
from training.loop.strategy import Devices, mirrored
from training.models.augmentation import AUGMENTATIONS
from training.models.gan import Progress, build
from training.models.networks import FAMILIES
from training.models.step import replica_step
from training.presets import CosineSchedule


def run(method, steps, devices=1, floats="float32", **how):
    """Losses of each step and the final weights, over so many logical devices."""
    names = [device.name for device in tf.config.list_logical_devices("CPU")[:devices]]
    strategy = mirrored(names) if devices > 1 else tf.distribute.OneDeviceStrategy(names[0])
    over = Devices("any", strategy)
    config = Config("any", method, 5, "train", 1000, "abc", SHAPE, cache=True, **how)
    labels = labels_of(photos(2 * steps)) if config.condition else None
    with unrounded_parts_in(floats):
        gan, progress = build_on(over, config)
        run_steps = compile_steps(gan, progress, config, over)
        batches = over.batches(tf.data.Dataset.from_tensor_slices(Batch(photos(2 * steps), labels)).repeat())
        losses = [means(run_steps(batches, tf.constant(1, tf.int64)), 1) for _ in range(steps)]
        return np.array(losses), flat(weights(gan))


@contextmanager
def without_compiling():
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def weights(gan):
    return [*gan.generator.weights, *gan.discriminator.weights, *gan.generator_ema.weights]


# Everything that is drawn, averaged, scheduled or taken in turns, on networks that are small.
EVERYTHING = replace(
    METHOD,
    loss="relativistic",
    san=True,
    r1_gamma=CosineSchedule(1.0, 0.1),
    r2_gamma=CosineSchedule(1.0),
    gradient_penalty=1.0,
    penalty_every=2,
    critic_steps=2,
    ramp_kimg=0.02,  # two and a half steps
    lr_g=CosineSchedule(2e-4, 1e-4),
    beta_2=CosineSchedule(0.9, 0.99),
    ema_kimg=CosineSchedule(0.0, 0.02),
    flip=True,
    augment="brightness,contrast,translation,cutout",  # ADA's set takes a minute to compile: in test_micro_batches
    epsilon=1e-8,
    augment_probability=CosineSchedule(0.2, 0.8),
    clip_norm=0.1,
    torn=0.5,
)
# From the fifth step on half of what D sees is augmented: of untrained logits fewer than all are above 0, and more are
# than none.
ADAPTIVE = replace(METHOD, augment="contrast", augment_target=0.0, augment_kimg=0.064)


@pytest.mark.parametrize(
    ("method", "steps", "devices", "condition"),
    [(ADAPTIVE, 6, 4, ""), (EVERYTHING, 4, 2, "Male,Smiling")],
    ids=["classic, adaptive", "everything, conditional"],
)
def test_compiled_over_any_number_of_devices_a_run_is_what_python_computes_on_one(method, steps, devices, condition):
    # In float32 rounding tips a LeakyReLU now and then, and Adam makes a step of that: 1e-2 of a loss after 20 steps.
    with without_compiling():
        losses, final = run(method, steps, floats="float64", condition=condition)
    assert 0 < losses[-1, 4] < 1, "the probability of augmentations has moved"
    losses_there, final_there = run(method, steps, devices, floats="float64", condition=condition)
    np.testing.assert_allclose(losses_there, losses, rtol=1e-12)
    np.testing.assert_allclose(final_there, final, atol=1e-12)


def test_micro_batches_add_up_to_the_batch(monkeypatch):
    monkeypatch.setitem(FAMILIES, "classic", dense_family())
    method = replace(EVERYTHING, critic_steps=1, penalty_every=1, augment=",".join(AUGMENTATIONS), augment_target=0.6)
    results = []
    for micro_batch in (None, 4):
        gan = with_plain_descent(build(method, SHAPE, 5, Progress(5)), 0.1)
        step = replica_step(gan, method, 5, 1, micro_batch_size=micro_batch)
        values = step([Batch(tf.constant(batch)) for batch in photos(2)], tf.constant(1, tf.int64), 0.5)
        results.append((values, flat(weights(gan))))
    (values, final), (values_there, final_there) = results
    np.testing.assert_allclose(values_there, values, rtol=1e-4)
    np.testing.assert_allclose(final_there, final, atol=1e-6)


def test_xla_compiles_the_same_step():
    method = replace(METHOD, r1_gamma=CosineSchedule(1.0), san=True)
    losses, final = run(method, 2)
    losses_there, final_there = run(method, 2, jit=True)
    np.testing.assert_allclose(losses_there, losses, rtol=1e-4)
    np.testing.assert_allclose(final_there, final, atol=2e-4)


def test_xla_is_refused_over_devices_that_share_statistics():
    config = Config("any", METHOD, 5, "train", 1000, "abc", SHAPE, cache=True, jit=True)
    gan, progress = build_on(OVER, config)
    with pytest.raises(UsageError, match=r"BatchNormalization.*--strategy one"):
        compile_steps(gan, progress, config, over_two())


def test_bfloat16_learns_nearly_the_same():
    losses, _ = run(replace(METHOD, precision="bfloat16"), 2)
    with without_compiling():
        expected, _ = run(METHOD, 2)
    np.testing.assert_allclose(losses, expected, rtol=0.05)
    assert keras.config.dtype_policy().name == "float32"


def test_the_steps_of_a_run_take_the_turns_and_average_at_the_half_life_of_the_step(monkeypatch):
    """Two critic steps for one of G: only every second step moves G; the average follows it by 8 photos a step."""
    monkeypatch.setitem(FAMILIES, "classic", dense_family())
    method = replace(METHOD, critic_steps=2, ema_kimg=CosineSchedule(0.0, 0.064), ramp_kimg=0.032)  # over 4 steps
    config = Config("any", method, 5, "train", 1000, "abc", SHAPE, cache=True)
    gan, progress = build_on(OVER, config)
    run_steps = compile_steps(gan, progress, config, OVER)
    batches = iter(tf.data.Dataset.from_tensor_slices(Batch(photos(1))).repeat())
    expected = flat(gan.generator_ema.weights)
    for step in range(4):
        before = flat(gan.generator.weights)
        run_steps(batches, tf.constant(1, tf.int64))
        now, half_life = flat(gan.generator.weights), max(64 * (1 - np.cos(np.pi * step / 4)) / 2, 1e-3)
        assert np.array_equal(now, before) == (step % 2 == 0)
        expected = now + 0.5 ** (8 / half_life) * (expected - now)
        np.testing.assert_allclose(flat(gan.generator_ema.weights), expected, atol=1e-6)
