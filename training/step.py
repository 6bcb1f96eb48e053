"""One update of D and one of G."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

from training.losses import LOSSES
from training.networks import family
from training.noise import Noise, Purpose
from training.presets import Preset


@dataclass(frozen=True)
class Player:
    """One of the two networks and what updates it."""

    network: keras.Model
    optimizer: keras.optimizers.Optimizer


@dataclass(frozen=True)
class Pair:
    """The generator and the discriminator."""

    generator: Player
    discriminator: Player


def build(preset: Preset, image_shape: tuple[int, int, int], seed: int) -> Pair:
    """Build both networks and their optimizers, initialised from `seed`. Call it within the strategy's scope."""
    # Keras takes its initialisers' seeds from Python's generator. `keras.utils.set_random_seed` would set TensorFlow's
    # global seed too, which tf.data then mixes into its own: the order of photos would no longer be a function of
    # (seed, epoch) alone.
    random.seed(seed)
    networks = family(preset.network)
    return Pair(
        _player(networks.generator(image_shape, preset.latent), preset.lr_g, preset),
        _player(networks.discriminator(image_shape), preset.lr_d, preset),
    )


def _player(network: keras.Model, learning_rate: float, preset: Preset) -> Player:
    optimizer = keras.optimizers.Adam(learning_rate, preset.beta_1, preset.beta_2)
    optimizer.build(network.trainable_variables)  # before tracing: variables cannot be made inside a tf.function
    return Player(network, optimizer)


def replica_step(pair: Pair, preset: Preset, seed: int, replicas: int) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The update that every replica runs on its share of a global batch.

    Returns:
        A function of (images uint8 [batch, height, width, channels], step int64) that updates D, then G against the new
        D, and returns float32 [4]: this replica's share of D's loss, of G's loss, of the norm of D's gradient and of
        G's. Summed over the replicas they are the values of the global batch.
    """
    generator, discriminator = pair.generator.network, pair.discriminator.network
    loss = LOSSES[preset.loss]

    def judge(images: tf.Tensor, noise: Noise, purpose: Purpose) -> tf.Tensor:
        drawn = [noise.uniform(purpose, entry.shape[1:], index) for index, entry in enumerate(discriminator.inputs[1:])]
        return tf.squeeze(discriminator([images, *drawn], training=True), -1)

    def step(images: tf.Tensor, step_number: tf.Tensor) -> tf.Tensor:
        local_batch = images.shape[0]
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        noise = Noise(seed, step_number, tf.cast(replica, tf.int64) * local_batch, local_batch)
        real = tf.cast(images, tf.float32) / 255.0
        if preset.flip:
            real = tf.where(noise.uniform(Purpose.FLIP, (1, 1, 1)) < 0.5, real, tf.reverse(real, [2]))

        def share(loss_per_example: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(loss_per_example) / (local_batch * replicas)

        with tf.GradientTape() as generator_tape:
            fake = generator(noise.latent(preset.latent, preset.latent_distribution), training=True)
            with generator_tape.stop_recording():
                with tf.GradientTape() as discriminator_tape:
                    real_logits = judge(real, noise, Purpose.DISCRIMINATOR_REAL)
                    fake_logits = judge(fake, noise, Purpose.DISCRIMINATOR_FAKE)
                    d_loss = share(loss.discriminator(real_logits, fake_logits))
                d_norm = _update(pair.discriminator, discriminator_tape, d_loss, preset.clip_norm)
            # The same fakes, seen by the D that has just learnt from them: alternating updates for one forward pass
            # of G.
            g_loss = share(loss.generator(judge(fake, noise, Purpose.GENERATOR)))
        g_norm = _update(pair.generator, generator_tape, g_loss, preset.clip_norm)
        return tf.stack([d_loss, g_loss, d_norm / replicas, g_norm / replicas])

    return step


def _update(player: Player, tape: tf.GradientTape, loss: tf.Tensor, clip_norm: float | None) -> tf.Tensor:
    """Apply the gradient of the whole batch, clipped; return its norm before that, the same on every replica."""
    variables = player.network.trainable_variables
    context = tf.distribute.get_replica_context()
    # Summed here, since a norm of one replica's share says nothing. The optimizer sums once more, hence the division.
    gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, tape.gradient(loss, variables))
    norm = tf.linalg.global_norm(gradients)
    if clip_norm is not None:
        gradients, _ = tf.clip_by_global_norm(gradients, clip_norm, use_norm=norm)
    player.optimizer.apply([gradient / context.num_replicas_in_sync for gradient in gradients], variables)
    return norm
