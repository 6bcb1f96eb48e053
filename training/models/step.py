"""One update of D and one of G."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tensorflow as tf

from training.models.gan import GAN, Player, cosine_decay
from training.models.noise import Noise
from training.models.objective import Game
from training.presets import Preset


@dataclass(frozen=True)
class Turn:
    """What a step does besides an update of D."""

    updates_generator: bool = True
    penalised: bool = True


def turns(method: Preset) -> list[Turn]:
    """What the steps do in turn: step n does what stands at n modulo the length."""
    every = method.penalty_every if _has_penalty(method) else 1
    return [
        Turn((place + 1) % method.critic_steps == 0, place % every == 0)
        for place in range(math.lcm(method.critic_steps, every))
    ]


def _has_penalty(method: Preset) -> bool:
    return not (method.r1_gamma.is_zero and method.r2_gamma.is_zero) or method.gradient_penalty > 0


def replica_step(
    gan: GAN,
    method: Preset,
    seed: int,
    replicas: int,
    turn: Turn = Turn(),
    micro_batch: int | None = None,
    jit: bool = False,
) -> Callable[[Sequence[tf.Tensor], tf.Tensor], tf.Tensor]:
    """The update that every replica runs on its share of a global batch.

    Args:
        gan: the networks.
        method: the preset.
        seed: with the step it decides all noise.
        replicas: how many take part.
        turn: what this step does.
        micro_batch: how many examples of a replica are computed at once, their gradients being summed; it divides the
            replica's batch. None for all of them.
        jit: compile the networks with XLA.

    Returns:
        A function of (batches, step int64), batches of uint8 [batch, height, width, channels]: photos for D and, where
        G's loss sees photos, those for G. It updates D, then G against the new D, and returns float32 [VALUES]: this
        replica's share of D's loss without penalties, of G's loss, of the norm of D's gradient, of G's, and of 1 where
        G was updated. Summed over the replicas they are the values of the global batch.
    """
    game = Game(gan, method, jit)

    def step(batches: Sequence[tf.Tensor], step_number: tf.Tensor) -> tf.Tensor:
        local_batch = batches[0].shape[0]
        size = micro_batch or local_batch
        parts = range(0, local_batch, size)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        decay = cosine_decay(method, step_number)

        def noise(first: int) -> Noise:
            return Noise(seed, step_number, tf.cast(replica, tf.int64) * local_batch + first, size)

        def photos(batch: int, first: int) -> tf.Tensor:
            return game.photos(batches[batch][first : first + size], noise(first), batch)

        def generated(first: int) -> tuple[tf.Tensor, tf.GradientTape]:
            with tf.GradientTape() as tape:
                return game.fakes(noise(first)), tape

        def share(per_example: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(per_example) / (local_batch * replicas)

        # The same fakes, seen by the D that has just learnt from them: alternating updates for one forward pass of G.
        # Micro-batches generate them twice, since keeping them would take the memory that is to be saved.
        kept = generated(0) if len(parts) == 1 else None

        def discriminator_part(first: int) -> list[tf.Tensor]:
            fake, _ = kept or generated(first)
            with tf.GradientTape() as tape:
                loss, penalty = game.discriminator(photos(0, first), fake, noise(first), decay, turn.penalised)
                total = share(loss + penalty)
            return [share(loss), *tape.gradient(total, gan.discriminator.network.trainable_variables)]

        def generator_part(first: int) -> list[tf.Tensor]:
            fake, tape = kept or generated(first)
            with tape:
                real = photos(1, first) if len(batches) > 1 else None
                loss = share(game.generator(real, fake, noise(first), decay))
            return [loss, *tape.gradient(loss, gan.generator.network.trainable_variables)]

        d_loss, *gradients = _summed(parts, discriminator_part)
        d_norm = _update(gan.discriminator, gradients, method.clip_norm)
        if not turn.updates_generator:
            zero = tf.zeros_like(d_loss)
            return tf.stack([d_loss, zero, d_norm / replicas, zero, zero])
        g_loss, *gradients = _summed(parts, generator_part)
        g_norm = _update(gan.generator, gradients, method.clip_norm)
        return tf.stack([d_loss, g_loss, d_norm / replicas, g_norm / replicas, 1.0 / replicas])

    return step


def _summed(parts: Sequence[int], of_part: Callable[[int], list[tf.Tensor]]) -> list[tf.Tensor]:
    """Sum over parts, one after the other: side by side they would need the memory of all of them."""
    total = of_part(parts[0])
    for first in parts[1:]:
        with tf.control_dependencies(total):
            total = [sum_so_far + value for sum_so_far, value in zip(total, of_part(first), strict=True)]
    return total


def _update(player: Player, gradients: list[tf.Tensor], clip_norm: float | None) -> tf.Tensor:
    """Apply the gradient of the whole batch, clipped; return its norm before that, the same on every replica."""
    context = tf.distribute.get_replica_context()
    # Summed here, since a norm of one replica's share says nothing. The optimizer sums once more, hence the division.
    gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    norm = tf.linalg.global_norm(gradients)
    if clip_norm is not None:
        gradients, _ = tf.clip_by_global_norm(gradients, clip_norm, use_norm=norm)
    scaled = [gradient / context.num_replicas_in_sync for gradient in gradients]
    player.optimizer.apply(scaled, player.network.trainable_variables)
    return norm
