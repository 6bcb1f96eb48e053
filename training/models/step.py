"""One training step: an update of the discriminator, then one of the generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tensorflow as tf

from training.batch import Batch
from training.models.gan import GAN, OptimizedNetwork, cosine_decay
from training.models.losses import LOSSES
from training.models.noise import Noise
from training.models.objective import Objective
from training.models.precision import full_precision
from training.models.progress import StepValues
from training.presets import Preset


@dataclass(frozen=True)
class Phase:
    """What a step does besides updating the discriminator."""

    updates_generator: bool = True
    penalised: bool = True
    """Whether the discriminator's loss has its gradient penalties."""


def phases(method: Preset) -> list[Phase]:
    """Return the cycle of a preset: step n is in phase n modulo the length."""
    every = method.penalty_every if has_penalty(method) else 1
    return [
        Phase((index + 1) % method.critic_steps == 0, index % every == 0)
        for index in range(math.lcm(method.critic_steps, every))
    ]


def has_penalty(method: Preset) -> bool:
    """Return whether the discriminator's loss has a gradient penalty."""
    return not (method.r1_gamma.is_zero and method.r2_gamma.is_zero) or method.gradient_penalty > 0


def batches_per_step(method: Preset, is_conditional: bool) -> int:
    """Return how many batches of photos a step takes.

    Where the generator's loss depends on photos too it has a batch of its own. But a relativistic loss pairs photos
    and generated images of the same labels: a conditional step therefore takes one batch for both updates.
    """
    return 2 if LOSSES[method.loss].generator_sees_photos and not is_conditional else 1


def replica_step(
    gan: GAN,
    method: Preset,
    seed: int,
    replicas: int,
    phase: Phase = Phase(),
    micro_batch: int | None = None,
    jit: bool = False,
) -> Callable[[Sequence[Batch], tf.Tensor], tf.Tensor]:
    """Return the step that every replica runs on its share of a global batch.

    Args:
        gan: the networks.
        method: the preset.
        seed: decides all noise, together with the step.
        replicas: number of replicas.
        phase: what this step does.
        micro_batch: examples of a replica that are computed at once, their gradients being summed; it divides the
            replica's batch. None for all of them.
        jit: compile the networks with XLA.

    Returns:
        A function of (batches, step int64). Batches are `batches_per_step` of photos: the first is for the
        discriminator, and its labels are those of the generated images; the last is for the generator's loss, where
        that depends on photos. It updates the discriminator, then the generator against the updated discriminator, and
        returns this replica's share of the `StepValues`, float32 [NUM_VALUES]: summed over the replicas they are the
        values of the global batch.
    """
    objective = Objective(gan, method, jit)
    generator_sees_photos = LOSSES[method.loss].generator_sees_photos

    def step(batches: Sequence[Batch], step_number: tf.Tensor) -> tf.Tensor:
        local_batch = batches[0].images.shape[0]
        size = micro_batch or local_batch
        starts = range(0, local_batch, size)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        decay = cosine_decay(method, step_number)

        def noise(start: int) -> Noise:
            return Noise(seed, step_number, tf.cast(replica, tf.int64) * local_batch + start, size)

        def real_images(images: tf.Tensor, start: int, update: int) -> tf.Tensor:
            return objective.real_images(images[start : start + size], noise(start), update)

        def labels(start: int) -> tf.Tensor | None:
            all_labels = batches[0].labels
            return None if all_labels is None else tf.cast(all_labels[start : start + size], full_precision())

        def generate(start: int) -> tuple[tf.Tensor, tf.GradientTape]:
            with tf.GradientTape() as tape:
                return objective.fake_images(labels(start), noise(start)), tape

        def mean_share(per_example: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(per_example) / (local_batch * replicas)

        # Both updates see the same fakes: alternating updates for one forward pass of the generator. Micro-batches
        # generate them twice, since keeping them would take the memory that is to be saved.
        kept = generate(0) if len(starts) == 1 else None

        def discriminator_gradients(start: int) -> list[tf.Tensor]:
            fake, _ = kept or generate(start)
            with tf.GradientTape() as tape:
                loss, added = objective.discriminator_loss(
                    real_images(batches[0].images, start, 0), fake, labels(start), noise(start), decay, phase.penalised
                )
                total = mean_share(loss + added)
            return [mean_share(loss), *tape.gradient(total, gan.discriminator.network.trainable_variables)]

        def generator_gradients(start: int) -> list[tf.Tensor]:
            fake, tape = kept or generate(start)
            with tape:
                real = real_images(batches[-1].images, start, 1) if generator_sees_photos else None
                loss = mean_share(objective.generator_loss(real, fake, labels(start), noise(start), decay))
            return [loss, *tape.gradient(loss, gan.generator.network.trainable_variables)]

        d_loss, *gradients = _summed(starts, discriminator_gradients)
        d_norm = _update(gan.discriminator, gradients, method.clip_norm)
        g_loss = g_norm = g_updates = tf.zeros_like(d_loss)
        if phase.updates_generator:
            g_loss, *gradients = _summed(starts, generator_gradients)
            g_norm = _update(gan.generator, gradients, method.clip_norm)
            g_updates = tf.ones_like(g_loss)
        # Norms and counts are the same on every replica.
        return tf.stack(StepValues(d_loss, g_loss, d_norm / replicas, g_norm / replicas, g_updates / replicas))

    return step


def _summed(starts: Sequence[int], gradients: Callable[[int], list[tf.Tensor]]) -> list[tf.Tensor]:
    """Sum over micro-batches, one after the other: in parallel they would need the memory of all of them."""
    total = gradients(starts[0])
    for start in starts[1:]:
        with tf.control_dependencies(total):
            total = [so_far + value for so_far, value in zip(total, gradients(start), strict=True)]
    return total


def _update(trained: OptimizedNetwork, gradients: list[tf.Tensor], clip_norm: float | None) -> tf.Tensor:
    """Apply the gradient of the global batch, clipped; return its norm before clipping, equal on every replica."""
    context = tf.distribute.get_replica_context()
    # Summed here, since the norm of one replica's share says nothing. The optimizer sums once more, hence the division.
    gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    norm = tf.linalg.global_norm(gradients)
    if clip_norm is not None:
        gradients, _ = tf.clip_by_global_norm(gradients, clip_norm, use_norm=norm)
    scaled = [gradient / context.num_replicas_in_sync for gradient in gradients]
    trained.optimizer.apply(scaled, trained.network.trainable_variables)
    return norm
