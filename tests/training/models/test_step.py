"""The update against the same update written out in float64 NumPy or plain Keras, and over several devices."""

import math
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from click import UsageError

from training.batch import Batch
from training.config import Config
from training.loop.engine import build_on, compile_steps
from training.loop.strategy import Devices, mirrored
from training.models import gan as gan_module
from training.models.augmentation import AUGMENTATIONS
from training.models.gan import GAN, OptimizedNetwork, build, cosine_decay, update_ema
from training.models.networks.layers import Dropout
from training.models.noise import Noise, Purpose
from training.models.objective import Objective
from training.models.progress import Progress, means
from training.models.step import Phase, batches_per_step, phases, replica_step
from training.presets import PRESETS
from training.schedule import CosineSchedule

SHAPE = (16, 16, 1)
METHOD = replace(PRESETS["classic"], batch_size=8, latent=10)


def photos(steps=1, shape=SHAPE):
    return np.random.default_rng(1).integers(0, 256, (steps, METHOD.batch_size, *shape), dtype=np.uint8)


@cache
def run(method, steps, devices=1, shape=SHAPE, floats="float32", **how):
    """Losses of each step and the final weights, over so many logical devices."""
    with unrounded_parts_in(floats):
        return _run(method, steps, devices, shape, **how)


@contextmanager
def unrounded_parts_in(floats):
    before, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(floats)
    try:
        yield
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(policy)


def _run(method, steps, devices, shape, **how):
    names = [device.name for device in tf.config.list_logical_devices("CPU")[:devices]]
    strategy = mirrored(names) if devices > 1 else tf.distribute.OneDeviceStrategy(names[0])
    over = Devices("any", strategy)
    config = Config("any", method, 5, "train", 1000, "abc", shape, cache=True, **how)
    gan, progress = build_on(over, config)
    run_steps = compile_steps(gan, progress, config, over)
    labels = labels_of(photos(2 * steps, shape)) if config.condition else None
    batches = over.batches(tf.data.Dataset.from_tensor_slices(Batch(photos(2 * steps, shape), labels)).repeat())
    losses = [means(run_steps(batches, tf.constant(1, tf.int64)), 1) for _ in range(steps)]
    return np.array(losses), weights(gan)


def labels_of(images):
    """Two labels for each image of batches, as if they were its attributes."""
    return np.where(images[..., :2, 0, 0] > 127, 1, -1).astype(np.float32)


def weights(gan):
    networks = (gan.generator.network, gan.discriminator.network, gan.generator_ema)
    return [weight.numpy() for network in networks for weight in network.weights]


# Everything that is drawn, averaged, scheduled or taken in turns, on networks that are small.
EVERYTHING = replace(
    METHOD,
    loss="relativistic",
    r1_gamma=CosineSchedule(1.0, 0.1),
    r2_gamma=CosineSchedule(1.0),
    gradient_penalty=1.0,
    penalty_every=2,
    critic_steps=2,
    ramp_kimg=0.03,
    lr_g=CosineSchedule(2e-4, 1e-4),
    beta_2=CosineSchedule(0.9, 0.99),
    ema_kimg=CosineSchedule(0.0, 0.02),
    flip=True,
    augment=",".join(AUGMENTATIONS),
    epsilon=1e-8,
    augment_probability=CosineSchedule(0.2, 0.8),
    clip_norm=0.1,
)


@pytest.mark.parametrize(
    ("method", "devices", "condition"),
    [(METHOD, 4, ""), (EVERYTHING, 2, ""), (EVERYTHING, 2, "Male,Smiling")],
    ids=["classic", "everything", "everything, conditional"],
)
def test_a_run_is_the_same_run_on_any_number_of_devices(method, devices, condition):
    # In float32 rounding tips a LeakyReLU now and then, and Adam makes a step of that: 1e-2 of a loss after 20 steps.
    losses, final = run(method, 4, floats="float64", condition=condition)
    losses_there, final_there = run(method, 4, devices, floats="float64", condition=condition)
    np.testing.assert_allclose(losses_there, losses, rtol=1e-12)
    for there, here in zip(final_there, final, strict=True):
        np.testing.assert_allclose(there, here, atol=1e-12)


def with_plain_descent(gan, learning_rate):
    """The same networks, updated by SGD, so that an update is the gradient."""
    players = (gan.generator, gan.discriminator)
    for player in players:
        assert isinstance(player.optimizer, keras.optimizers.Adam)
    descending = (OptimizedNetwork(player.network, keras.optimizers.SGD(learning_rate)) for player in players)
    return GAN(*descending, gan.generator_ema)


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


def one_descent(method, labels=None):
    """Trainable weights of D and G before and after one step of SGD with rate 1."""
    gan = with_plain_descent(build(method, SHAPE, 5, Progress(), 0 if labels is None else labels.shape[1]), 1.0)
    players = (gan.discriminator, gan.generator)
    before = [[v.numpy() for v in player.network.trainable_variables] for player in players]
    batch = Batch(tf.constant(photos()[0]), labels)
    losses = replica_step(gan, method, 5, 1)([batch], tf.constant(0, tf.int64)).numpy()
    after = [[v.numpy() for v in player.network.trainable_variables] for player in players]
    return before, after, losses


@pytest.mark.parametrize("conditions", [0, 2])
def test_one_step_is_keras_cross_entropy_with_labels_one_and_zero_then_one_for_the_generator(conditions):
    """Against the tutorial's formulation: sigmoid, BinaryCrossentropy on labels, D first and G against the new D.

    Conditions of the photos are asked of the generated images, and told to D with both.
    """
    told = [tf.constant(labels_of(photos()[0]))] if conditions else []
    before, after, losses = one_descent(METHOD, *told)
    networks = build(METHOD, SHAPE, 5, Progress(), conditions)
    generator, discriminator = networks.generator.network, networks.discriminator.network
    noise = Noise(5, tf.constant(0, tf.int64), 0, METHOD.batch_size)
    cross_entropy = keras.losses.BinaryCrossentropy()
    ones, zeros = np.ones((METHOD.batch_size, 1)), np.zeros((METHOD.batch_size, 1))

    def probability(images, purpose):
        drawn = [noise.uniform(purpose, entry.shape[1:], n) for n, entry in enumerate(discriminator.inputs[1:3])]
        return tf.sigmoid(discriminator([images, *drawn, *told], training=True))

    real = tf.constant(photos()[0] / np.float32(255))
    with tf.GradientTape(persistent=True) as tape:
        z = noise.latent(METHOD.latent, "uniform")
        fake = generator([z, *told] if told else z, training=True)
        d_loss = cross_entropy(ones, probability(real, Purpose.DISCRIMINATOR_REAL)) + cross_entropy(
            zeros, probability(fake, Purpose.DISCRIMINATOR_FAKE)
        )
    moved = [v - g for v, g in zip(before[0], tape.gradient(d_loss, discriminator.trainable_variables), strict=True)]
    np.testing.assert_allclose(losses[0], d_loss, rtol=1e-5)
    np.testing.assert_allclose(flat(after[0]), flat(moved), atol=1e-5)

    for variable, value in zip(discriminator.trainable_variables, moved, strict=True):
        variable.assign(value)
    with tape:
        g_loss = cross_entropy(ones, probability(fake, Purpose.GENERATOR))
    moved = [v - g for v, g in zip(before[1], tape.gradient(g_loss, generator.trainable_variables), strict=True)]
    np.testing.assert_allclose(losses[1], g_loss, rtol=1e-5)
    np.testing.assert_allclose(flat(after[1]), flat(moved), atol=1e-5)


PENALISED = replace(
    METHOD,
    loss="relativistic",
    r1_gamma=CosineSchedule(3.0, 1.0),
    r2_gamma=CosineSchedule(5.0),
    gradient_penalty=0.7,
    penalty_every=3,
    ramp_kimg=0.08,  # 10 steps
    augment="contrast",
    augment_probability=CosineSchedule(0.2, 0.8),
)


@pytest.mark.parametrize("penalised", [True, False])
def test_one_step_has_the_penalties_of_the_images_before_augmentation_at_their_weights_of_the_step(
    monkeypatch, penalised
):
    """Against R3GAN's and WGAN-GP's formulas, gradients through the augmentation; halfway along the ramps."""
    monkeypatch.setattr(gan_module, "family", lambda name: dense_family())
    gan = with_plain_descent(build(PENALISED, SHAPE, 5, Progress()), 1.0)
    generator, discriminator = gan.generator.network, gan.discriminator.network
    noise = Noise(5, tf.constant(5, tf.int64), 0, METHOD.batch_size)
    real = tf.constant(photos()[0] / np.float32(255))
    fake = generator(noise.latent(METHOD.latent, "uniform"))

    def logits(images, purpose):
        drawn = noise.uniform(purpose, (3,), 1)
        images = AUGMENTATIONS["contrast"].apply(images, drawn, 0.5)
        return discriminator([images, noise.uniform(purpose, (16,), 0)], training=True)[:, 0]

    def squared_slope(images, purpose):
        with tf.GradientTape() as tape:
            tape.watch(images)
            value = logits(images, purpose)
        return tf.reduce_sum(tape.gradient(value, images) ** 2, axis=[1, 2, 3]) / 4  # of pixels in [-1, 1]

    mixed = real + noise.uniform(Purpose.INTERPOLATION, (1, 1, 1)) * (fake - real)
    with tf.GradientTape() as tape:
        loss = tf.nn.softplus(logits(fake, Purpose.DISCRIMINATOR_FAKE) - logits(real, Purpose.DISCRIMINATOR_REAL))
        penalties = (
            2.0 / 2 * squared_slope(real, Purpose.DISCRIMINATOR_REAL)
            + 5.0 / 2 * squared_slope(fake, Purpose.DISCRIMINATOR_FAKE)
            + 0.7 * (tf.sqrt(squared_slope(mixed, Purpose.DISCRIMINATOR_BETWEEN)) - 1) ** 2
        )
        total = tf.reduce_mean(loss + 3 * penalties if penalised else loss)
    before = [weight.numpy() for weight in discriminator.trainable_variables]
    slopes = tape.gradient(total, discriminator.trainable_variables)
    moved = [weight - slope for weight, slope in zip(before, slopes, strict=True)]

    step = replica_step(gan, PENALISED, 5, 1, Phase(penalised=penalised))
    values = step([Batch(tf.constant(batch)) for batch in photos(2)], tf.constant(5, tf.int64)).numpy()
    np.testing.assert_allclose(values[0], tf.reduce_mean(loss), rtol=1e-5)
    np.testing.assert_allclose(flat(discriminator.trainable_variables), flat(moved), atol=1e-5)
    # G against the new D, beside photos of its own: the second batch.
    other = tf.constant(photos(2)[1] / np.float32(255))
    g_loss = tf.nn.softplus(logits(other, Purpose.GENERATOR_REAL) - logits(fake, Purpose.GENERATOR))
    np.testing.assert_allclose(values[1], tf.reduce_mean(g_loss), rtol=1e-4)


def test_clip_norm_bounds_the_whole_update_of_each_network():
    before, after, _ = one_descent(replace(METHOD, clip_norm=0.01))
    for there, here in zip(after, before, strict=True):
        assert np.linalg.norm(flat(there) - flat(here)) == pytest.approx(0.01, rel=1e-3)


def test_flip_mirrors_about_half_of_the_photos():
    method = replace(METHOD, flip=True, batch_size=64)
    left_to_right = np.tile(np.linspace(0, 255, 16, dtype=np.uint8)[None, None, :, None], (64, 16, 1, 1))
    seen = []
    gan = build(method, SHAPE, 0, Progress())
    network = gan.discriminator.network
    spy = keras.Model(network.inputs, network.outputs)
    spy.call = lambda inputs, **kwargs: (seen.append(inputs[0].numpy()), network(inputs, **kwargs))[1]
    gan = GAN(gan.generator, OptimizedNetwork(spy, gan.discriminator.optimizer), gan.generator_ema)
    replica_step(gan, method, 0, 1)([Batch(tf.constant(left_to_right))], tf.constant(0, tf.int64))
    mirrored = seen[0][:, 0, 0, 0] > 0.5
    assert 16 < mirrored.sum() < 48
    np.testing.assert_allclose(seen[0][mirrored], left_to_right[mirrored][:, :, ::-1] / 255, rtol=1e-6)


def dense_family():
    """Networks without BatchNormalization, whose statistics are those of what is computed at once."""

    def generator(image_shape, latent, _width, _conditions):
        z = keras.Input((latent,))
        x = keras.layers.Dense(math.prod(image_shape), activation="sigmoid")(z)
        return keras.Model(z, keras.layers.Reshape(image_shape)(x))

    def discriminator(image_shape, _width, _conditions):
        image, noise = keras.Input(image_shape), keras.Input((16,))
        x = keras.layers.Dense(16, activation="softplus")(keras.layers.Flatten()(image))
        return keras.Model([image, noise], keras.layers.Dense(1)(Dropout(0.4)([x, noise])))

    return SimpleNamespace(generator=generator, discriminator=discriminator)


def test_micro_batches_add_up_to_the_batch(monkeypatch):
    monkeypatch.setattr(gan_module, "family", lambda name: dense_family())
    method = replace(EVERYTHING, critic_steps=1, penalty_every=1)
    results = []
    for micro_batch in (None, 2):
        gan = with_plain_descent(build(method, SHAPE, 5, Progress()), 0.1)
        step = replica_step(gan, method, 5, 1, micro_batch=micro_batch)
        values = step([Batch(tf.constant(batch)) for batch in photos(2)], tf.constant(3, tf.int64)).numpy()
        results.append((values, flat(weights(gan))))
    (values, final), (values_there, final_there) = results
    np.testing.assert_allclose(values_there, values, rtol=1e-4)
    np.testing.assert_allclose(final_there, final, atol=1e-6)


def test_xla_compiles_the_same_step():
    method = replace(METHOD, r1_gamma=CosineSchedule(1.0))
    losses, final = run(method, 2)
    losses_there, final_there = run(method, 2, jit=True)
    np.testing.assert_allclose(losses_there, losses, rtol=1e-4)
    for there, here in zip(final_there, final, strict=True):
        np.testing.assert_allclose(there, here, atol=2e-4)


def test_xla_is_refused_over_devices_that_share_statistics():
    over = Devices("any", mirrored([device.name for device in tf.config.list_logical_devices("CPU")[:2]]))
    config = Config("any", METHOD, 5, "train", 1000, "abc", SHAPE, cache=True, jit=True)
    gan, progress = build_on(over, config)
    with pytest.raises(UsageError, match=r"BatchNormalization.*--strategy one"):
        compile_steps(gan, progress, config, over)


def test_bfloat16_keeps_weights_and_outputs_in_float32_and_learns_nearly_the_same():
    gan = build(replace(METHOD, precision="bfloat16"), SHAPE, 5, Progress())
    for network in (gan.generator.network, gan.discriminator.network):
        assert {str(weight.dtype) for weight in network.weights} == {"float32"}
        assert network.output.dtype == "float32"
        assert any(layer.compute_dtype == "bfloat16" for layer in network.layers)
    losses, _ = run(replace(METHOD, precision="bfloat16"), 3)
    np.testing.assert_allclose(losses, run(METHOD, 3)[0], rtol=0.05)
    assert keras.config.dtype_policy().name == "float32"


def test_steps_take_turns():
    assert phases(METHOD) == [Phase(updates_generator=True, penalised=True)] == [Phase()]
    critic_first = phases(replace(METHOD, critic_steps=3))
    assert [phase.updates_generator for phase in critic_first] == [False, False, True]
    lazy = phases(replace(METHOD, critic_steps=2, r1_gamma=CosineSchedule(1.0), penalty_every=4))
    assert [phase.penalised for phase in lazy] == [True, False, False, False]
    assert [phase.updates_generator for phase in lazy] == [False, True, False, True]
    for penalty in ({"r2_gamma": CosineSchedule(0.0, 1.0)}, {"gradient_penalty": 0.5}):
        every_third = phases(replace(METHOD, penalty_every=3, **penalty))
        assert [phase.penalised for phase in every_third] == [True, False, False]
    assert len(phases(replace(METHOD, penalty_every=3))) == 1  # where there is none, steps are all alike


def test_the_generator_draws_once_a_step():
    """Its moving statistics go one step, from 0 at momentum 0.99 towards those of the batch (Keras's default)."""
    progress = Progress()
    gan = build(METHOD, SHAPE, 5, progress)
    [first, *_] = [
        layer for layer in gan.generator.network.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    before = keras.Model(gan.generator.network.inputs, first.input)
    z = Noise(5, tf.constant(0, tf.int64), 0, METHOD.batch_size).latent(METHOD.latent, METHOD.latent_distribution)
    mean = before(z).numpy().astype(np.float64).mean(axis=(0, 1, 2))
    replica_step(gan, METHOD, 5, 1)([Batch(tf.constant(photos()[0]))], tf.constant(0, tf.int64))
    np.testing.assert_allclose(first.moving_mean.numpy(), 0.01 * mean, rtol=1e-4, atol=1e-8)


def test_only_the_generators_turns_change_the_generator_and_count():
    gan = build(METHOD, SHAPE, 5, Progress())
    step = replica_step(gan, METHOD, 5, 1, Phase(updates_generator=False))
    before = [weight.numpy() for weight in gan.generator.network.trainable_variables]
    values = step([Batch(tf.constant(photos()[0]))], tf.constant(0, tf.int64)).numpy()
    after = [weight.numpy() for weight in gan.generator.network.trainable_variables]
    assert all(np.array_equal(there, here) for there, here in zip(after, before, strict=True))
    assert values[[1, 3, 4]].tolist() == [0, 0, 0]
    assert values[0] > 0 < values[2]


def test_the_steps_of_a_run_take_the_turns_and_average_at_the_half_life_of_the_step(monkeypatch):
    """Two critic steps for one of G: only every second step moves it, and with it the average by 16 photos' worth."""
    monkeypatch.setattr(gan_module, "family", lambda name: dense_family())
    method = replace(METHOD, critic_steps=2, ema_kimg=CosineSchedule(0.0, 0.064), ramp_kimg=0.032)  # over 4 steps
    config = Config("any", method, 5, "train", 1000, "abc", SHAPE, cache=True)
    over = Devices("any", tf.distribute.get_strategy())
    gan, progress = build_on(over, config)
    run_steps = compile_steps(gan, progress, config, over)
    batches = iter(tf.data.Dataset.from_tensor_slices(Batch(photos(1))).repeat())
    expected = flat(gan.generator_ema.weights)
    for half_life in (None, 64 * (1 - np.cos(np.pi / 4)) / 2, None, 64 * (1 - np.cos(3 * np.pi / 4)) / 2):
        before = flat(gan.generator.network.weights)
        run_steps(batches, tf.constant(1, tf.int64))
        now = flat(gan.generator.network.weights)
        assert np.array_equal(now, before) == (half_life is None)
        if half_life is not None:
            expected = now + 0.5 ** (16 / half_life) * (expected - now)
        np.testing.assert_allclose(flat(gan.generator_ema.weights), expected, atol=1e-6)


def test_ramps_fall_along_half_a_cosine_over_ramp_kimg():
    method = replace(METHOD, ramp_kimg=0.8)  # 100 steps of 8
    ramp = CosineSchedule(2e-4, 5e-5)
    values = [float(ramp.at(cosine_decay(method, tf.constant(step, tf.int64)))) for step in (0, 25, 50, 100, 1000)]
    cosine = [5e-5 + 1.5e-4 * (1 + np.cos(np.pi * part)) / 2 for part in (0, 0.25, 0.5, 1, 1)]
    np.testing.assert_allclose(values, cosine, rtol=1e-5)
    assert float(cosine_decay(METHOD, tf.constant(7, tf.int64))) == 1.0
    assert CosineSchedule(0.3).at(0.5) == 0.3


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_adam_takes_rate_and_beta_2_of_the_step(epsilon):
    """Against Adam written out in float64, Kingma and Ba 2015, algorithm 1, with both changing."""
    rates, beta_2s = CosineSchedule(1e-2, 1e-3), CosineSchedule(0.5, 0.99)
    method = replace(METHOD, ramp_kimg=0.08, lr_d=rates, beta_2=beta_2s, beta_1=0.3, epsilon=epsilon)
    progress = Progress()
    player = build(method, SHAPE, 5, progress).discriminator
    variable = player.network.trainable_variables[0]
    weight, m, v = variable.numpy().astype(np.float64), 0.0, 0.0
    gradients = np.random.default_rng(0).normal(size=(4, *weight.shape))
    progress.lr_scale.assign(0.5)
    for step, gradient in enumerate(gradients):
        progress.step.assign(step)
        others = [tf.zeros_like(other) for other in player.network.trainable_variables[1:]]
        player.optimizer.apply([tf.constant(gradient, tf.float32), *others], player.network.trainable_variables)
        part = (1 + np.cos(np.pi * step / 10)) / 2
        rate, beta_2 = 0.5 * (1e-3 + 9e-3 * part), 0.99 - 0.49 * part
        m, v = 0.3 * m + 0.7 * gradient, beta_2 * v + (1 - beta_2) * gradient**2
        corrected = m / (1 - 0.3 ** (step + 1)), v / (1 - beta_2 ** (step + 1))
        weight -= rate * corrected[0] / (np.sqrt(corrected[1]) + epsilon)
    np.testing.assert_allclose(variable.numpy(), weight, rtol=1e-4)


def test_the_moving_average_follows_with_the_half_life():
    method = replace(METHOD, ema_kimg=CosineSchedule(1.0))
    gan = build(method, SHAPE, 5, Progress())
    strategy = tf.distribute.get_strategy()
    start = [weight.numpy() for weight in gan.generator_ema.weights]
    for weight in gan.generator.network.weights:
        weight.assign_add(tf.ones_like(weight))
    update_ema(strategy, gan, tf.constant(1000.0), 1000)
    learnt = {weight.path for weight in gan.generator_ema.trainable_weights}
    for weight, before in zip(gan.generator_ema.weights, start, strict=True):
        moved = 0.5 if weight.path in learnt else 1.0  # statistics are copied
        np.testing.assert_allclose(weight.numpy(), before + moved, rtol=1e-5)
    update_ema(strategy, gan, tf.constant(0.0), 8)
    for shown, weight in zip(gan.generator_ema.weights, gan.generator.network.weights, strict=True):
        np.testing.assert_allclose(shown.numpy(), weight.numpy(), rtol=1e-6)


@pytest.mark.parametrize("jit", [True, False])
def test_xla_compiles_both_networks_where_it_is_given(jit):
    """Looked for in the graph of the step: the mark that a function must be compiled."""
    gan = build(METHOD, SHAPE, 5, Progress())
    step = tf.function(replica_step(gan, METHOD, 5, 1, jit=jit))
    graph = step.get_concrete_function([Batch(tf.TensorSpec((8, *SHAPE), tf.uint8))], tf.TensorSpec([], tf.int64)).graph
    functions = graph.as_graph_def().library.function
    compiled = [function for function in functions if function.attr["_XlaMustCompile"].b]
    assert bool(compiled) == jit


@pytest.mark.parametrize("method", [METHOD, replace(EVERYTHING, critic_steps=1)], ids=["classic", "everything"])
def test_what_is_compiled_is_what_python_computes_line_by_line(method):
    expected = run(method, 2)[0]
    tf.config.run_functions_eagerly(True)
    try:
        losses, _ = _run(method, 2, 1, SHAPE)
    finally:
        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_every_second_photo_is_mirrored_and_each_batch_of_a_step_by_its_own_draw():
    objective = Objective(build(METHOD, SHAPE, 0, Progress()), replace(METHOD, flip=True), jit=False)
    pixels = tf.constant(np.arange(16, dtype=np.uint8)[None, None, :, None] * np.ones((4_000, 1, 1, 1), np.uint8))
    noise = Noise(0, tf.constant(0, tf.int64), 0, 4_000)
    mirrored = [objective.real_images(pixels, noise, batch).numpy()[:, 0, 0, 0] > 0 for batch in (0, 1)]
    for flips in mirrored:
        assert abs(flips.mean() - 0.5) < 0.03  # four standard errors
    # Those whose number lies in the lower half stay: a run of an older version that goes on mirrors the same photos.
    np.testing.assert_array_equal(mirrored[1], noise.uniform(Purpose.FLIP, (1,), 1).numpy()[:, 0] >= 0.5)
    assert abs((mirrored[0] == mirrored[1]).mean() - 0.5) < 0.03
    untouched = Objective(build(METHOD, SHAPE, 0, Progress()), METHOD, jit=False).real_images(pixels, noise, 0)
    np.testing.assert_allclose(untouched, pixels.numpy() / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "is_conditional", "batches"),
    [("relativistic", False, 2), ("relativistic", True, 1), ("cross_entropy", False, 1), ("hinge", True, 1)],
)
def test_the_generator_has_photos_of_its_own_where_its_loss_sees_photos(loss, is_conditional, batches):
    assert batches_per_step(replace(METHOD, loss=loss), is_conditional) == batches
