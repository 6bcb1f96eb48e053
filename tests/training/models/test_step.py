"""One update against the same update written out in float64 NumPy or plain Keras, and whose turn it is."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

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
from training.models.augmentation import AUGMENTATIONS
from training.models.gan import Progress, build
from training.models.networks import FAMILIES
from training.models.noise import Noise, Purpose
from training.models.step import Phase, batches_per_step, gradient_penalty, phases, replica_step
from training.models.torn import UNIFORMS, tear
from training.presets import CosineSchedule


def one_descent(method, labels=None):
    """Trainable weights of D and G before and after one step of SGD with rate 1."""
    gan = with_plain_descent(build(method, SHAPE, 5, Progress(5), 0 if labels is None else labels.shape[1]), 1.0)
    networks = (gan.discriminator, gan.generator)
    before = [[v.numpy() for v in network.trainable_variables] for network in networks]
    batch = Batch(tf.constant(photos()[0]), labels)
    losses = replica_step(gan, method, 5, 1)([batch], tf.constant(0, tf.int64))
    after = [[v.numpy() for v in network.trainable_variables] for network in networks]
    return before, after, losses


@pytest.mark.parametrize(("network", "conditions"), [("classic", 0), ("classic", 2), ("dcgan", 0)])
def test_one_step_is_keras_cross_entropy_with_labels_one_and_zero_then_one_for_the_generator(network, conditions):
    """Against the tutorial's formulation: sigmoid, BinaryCrossentropy on labels, D first and G against the new D.

    Conditions of the photos are asked of the generated images, and told to D with both. BatchNormalization in dcgan's D
    has the statistics of photos and of generated images apart.
    """
    with unrounded_parts_in("float64"):  # dcgan's D divides fakes that are nearly alike by their deviation
        check_one_step(replace(METHOD, network=network), conditions)


def check_one_step(method, conditions):
    labels = [tf.constant(labels_of(photos()[0]), tf.float64)] if conditions else []
    before, after, losses = one_descent(method, *labels)
    networks = build(method, SHAPE, 5, Progress(5), conditions)
    generator, discriminator = networks.generator, networks.discriminator
    noises = [entry for entry in discriminator.inputs if entry.name.startswith("noise")]
    noise = Noise(5, tf.constant(0, tf.int64), 0, METHOD.batch_size)
    cross_entropy = keras.losses.BinaryCrossentropy()
    ones, zeros = np.ones((METHOD.batch_size, 1)), np.zeros((METHOD.batch_size, 1))

    def probability(images, purpose):
        drawn = [noise.uniform(purpose, entry.shape[1:], n) for n, entry in enumerate(noises)]
        return tf.sigmoid(discriminator([images, *drawn, *labels], training=True))

    real = tf.constant(photos()[0] / 255.0)
    with tf.GradientTape(persistent=True) as tape:
        z = noise.latent(METHOD.latent, "uniform")
        fake = generator([z, *labels] if labels else z, training=True)
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
    np.testing.assert_allclose(losses[1], g_loss, rtol=1e-5, atol=2e-7)  # Keras clips probabilities at 1e-7
    np.testing.assert_allclose(flat(after[1]), flat(moved), atol=1e-5)


def test_torn_photos_are_fakes_beside_every_fourth_photo(monkeypatch):
    """Against Sinha et al. 2021: the loss of the fakes once more at its weight, for torn photos and their photos."""
    monkeypatch.setitem(FAMILIES, "classic", dense_family())
    method = replace(METHOD, torn=0.7)
    before, after, losses = one_descent(method)
    gan = build(method, SHAPE, 5, Progress(5))
    noise, of_torn = (Noise(5, tf.constant(0, tf.int64), 0, count) for count in (8, 2))
    real = tf.constant(photos()[0] / np.float32(255))
    fake = gan.generator(noise.latent(METHOD.latent, "uniform"))
    torn = tear(real, of_torn.uniform(Purpose.TEAR, (UNIFORMS,)))

    def logits(images, noise, purpose):
        return gan.discriminator([images, noise.uniform(purpose, (16,))], training=True)[:, 0]

    with tf.GradientTape() as tape:
        photos_out = logits(real, noise, Purpose.DISCRIMINATOR_REAL)
        fakes_out = logits(fake, noise, Purpose.DISCRIMINATOR_FAKE)
        torn_out = logits(torn, of_torn, Purpose.DISCRIMINATOR_TORN)
        loss = tf.reduce_mean(tf.nn.softplus(-photos_out) + tf.nn.softplus(fakes_out))
        total = loss + 0.7 * tf.reduce_mean(tf.nn.softplus(-tf.gather(photos_out, [0, 4])) + tf.nn.softplus(torn_out))
    gradient = tape.gradient(total, gan.discriminator.trainable_variables)
    np.testing.assert_allclose(losses[0], loss, rtol=1e-5)
    np.testing.assert_allclose(flat(after[0]), flat(before[0]) - flat(gradient), atol=1e-5)


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


@pytest.mark.parametrize(("penalised", "r2_gamma"), [(True, 5.0), (True, 0.0), (False, 5.0)])
def test_one_step_has_the_penalties_of_the_images_before_augmentation_at_their_weights_of_the_step(
    monkeypatch, penalised, r2_gamma
):
    """Against R3GAN's and WGAN-GP's formulas, gradients through the augmentation; halfway along the ramps."""
    monkeypatch.setitem(FAMILIES, "classic", dense_family())
    method = replace(PENALISED, r2_gamma=CosineSchedule(r2_gamma))
    gan = with_plain_descent(build(method, SHAPE, 5, Progress(5)), 1.0)
    generator, discriminator = gan.generator, gan.discriminator
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
            + r2_gamma / 2 * squared_slope(fake, Purpose.DISCRIMINATOR_FAKE)
            + 0.7 * (tf.sqrt(squared_slope(mixed, Purpose.DISCRIMINATOR_BETWEEN)) - 1) ** 2
        )
        total = tf.reduce_mean(loss + 3 * penalties if penalised else loss)
    before = [weight.numpy() for weight in discriminator.trainable_variables]
    slopes = tape.gradient(total, discriminator.trainable_variables)
    moved = [weight - slope for weight, slope in zip(before, slopes, strict=True)]

    step = replica_step(gan, method, 5, 1, Phase(penalised=penalised))
    values = step([Batch(tf.constant(batch)) for batch in photos(2)], tf.constant(5, tf.int64))
    np.testing.assert_allclose(values[0], tf.reduce_mean(loss), rtol=1e-5)
    np.testing.assert_allclose(flat(discriminator.trainable_variables), flat(moved), atol=1e-5)
    # G against the new D, beside photos of its own: the second batch.
    other = tf.constant(photos(2)[1] / np.float32(255))
    g_loss = tf.nn.softplus(logits(other, Purpose.GENERATOR_REAL) - logits(fake, Purpose.GENERATOR))
    np.testing.assert_allclose(values[1], tf.reduce_mean(g_loss), rtol=1e-4)


def test_a_flat_critic_has_a_finite_gradient():
    slope, images = tf.Variable(0.0), tf.constant(photos()[0] / np.float32(255))
    with tf.GradientTape() as tape:
        penalty = gradient_penalty(lambda mixed: slope * tf.reduce_sum(mixed, [1, 2, 3])[:, None], images, images, 0.5)
    assert np.isfinite(tape.gradient(penalty, slope).numpy())


def test_clip_norm_bounds_the_whole_update_of_each_network():
    before, after, _ = one_descent(replace(METHOD, clip_norm=0.01))
    for there, here in zip(after, before, strict=True):
        assert np.linalg.norm(flat(there) - flat(here)) == pytest.approx(0.01, rel=1e-3)


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
    progress = Progress(5)
    gan = build(METHOD, SHAPE, 5, progress)
    [first, *_] = [layer for layer in gan.generator.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = keras.Model(gan.generator.inputs, first.input)
    z = Noise(5, tf.constant(0, tf.int64), 0, METHOD.batch_size).latent(METHOD.latent, METHOD.latent_distribution)
    mean = before(z).numpy().astype(np.float64).mean(axis=(0, 1, 2))
    replica_step(gan, METHOD, 5, 1)([Batch(tf.constant(photos()[0]))], tf.constant(0, tf.int64))
    np.testing.assert_allclose(first.moving_mean.numpy(), 0.01 * mean, rtol=1e-4, atol=1e-8)


def test_only_the_generators_turns_change_the_generator_and_count():
    gan = build(METHOD, SHAPE, 5, Progress(5))
    step = replica_step(gan, METHOD, 5, 1, Phase(updates_generator=False))
    before = flat(gan.generator.trainable_variables)
    values = np.array(step([Batch(tf.constant(photos()[0]))], tf.constant(0, tf.int64)))
    np.testing.assert_array_equal(flat(gan.generator.trainable_variables), before)
    assert values[[1, 3, 4]].tolist() == [0, 0, 0]
    assert values[0] > 0 < values[2]


@pytest.mark.parametrize(
    ("loss", "is_conditional", "batches"),
    [("relativistic", False, 2), ("relativistic", True, 1), ("cross_entropy", False, 1), ("hinge", True, 1)],
)
def test_the_generator_has_photos_of_its_own_where_its_loss_sees_photos(loss, is_conditional, batches):
    assert batches_per_step(replace(METHOD, loss=loss), is_conditional) == batches


def test_flip_mirrors_the_photos_of_each_update_by_a_draw_of_their_own():
    """Mirrored beforehand where the draw is 0.5 or more, photos train the same networks to the same losses."""
    method = replace(METHOD, loss="relativistic")
    batches, noise = photos(2), Noise(5, tf.constant(0, tf.int64), 0, METHOD.batch_size)
    draws = np.stack([noise.uniform(Purpose.FLIP, (1, 1, 1), update) for update in (0, 1)])
    assert 0 < (draws[0] >= 0.5).sum() < METHOD.batch_size
    assert not np.array_equal(draws[0] < 0.5, draws[1] < 0.5)
    mirrored = np.where(draws < 0.5, batches, batches[:, :, :, ::-1])
    values = []
    for flip, seen in ((True, batches), (False, mirrored)):
        step = replica_step(build(method, SHAPE, 5, Progress(5)), replace(method, flip=flip), 5, 1)
        values.append(step([Batch(tf.constant(batch)) for batch in seen], tf.constant(0, tf.int64)))
    np.testing.assert_array_equal(*values)
