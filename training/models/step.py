"""One training step on one page: what D and G minimise, how a run takes its turns, and both updates.

D minimises the sum of these means over the batch, where x is a photo and y = G(z) the fake beside it:

    loss.discriminator(D(x), D(y))
    <w, h(y)> - <w, h(x)>                               with `san`: D = <w, h> and |w| = 1; w learns by this alone
    n (r1_gamma |dD/dx|^2 + r2_gamma |dD/dy|^2) / 2     in steps 0, n, 2n, ... with n = `penalty_every`
    n gradient_penalty (|dD/dm| - 1)^2                  in the same steps; m is a random point between x and y
    torn loss.discriminator(D(x), D(t))                 t is torn of four photos, and x the first of them

Then G minimises loss.generator(D(x'), D(y)) against the updated D, with the same z; x' are other photos. What D sees is
augmented first, and the penalties' gradients are with respect to images before that.

Images are float32 [batch, height, width, channels] in [0, 1]; logits and losses float32 [batch]; labels, of a run with
conditions, float32 [batch, conditions], -1 or 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import keras
import tensorflow as tf

from training.batch import Batch
from training.models.augmentation import augment
from training.models.gan import GAN
from training.models.networks.conditioning import LABELS
from training.models.networks.layers import mixes_examples
from training.models.noise import Noise, Purpose
from training.models.optimizer import cosine_decay
from training.models.precision import full_precision
from training.models.torn import UNIFORMS, tear
from training.presets import PHOTOS_PER_TORN, Preset

# ---- Losses


@dataclass(frozen=True)
class Loss:
    """An adversarial loss: (real logits, fake logits) -> loss of each pair, of D and of G."""

    discriminator: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    generator: Callable[[tf.Tensor | None, tf.Tensor], tf.Tensor]
    # D's loss where it cannot tell real from fake; None for Wasserstein, whose 0 is no scale for a loss.
    chance: float | None
    generator_sees_photos: bool = False  # whether G's loss depends on the real logits


LOSSES = {
    # Goodfellow et al. 2014, with the non-saturating generator of their section 3. softplus(-x) is -log(sigmoid(x)),
    # without its overflow: binary cross-entropy with the labels 1 for real, 0 for fake, and 1 for the generator.
    "cross_entropy": Loss(
        lambda real, fake: tf.nn.softplus(-real) + tf.nn.softplus(fake),
        lambda real, fake: tf.nn.softplus(-fake),
        chance=2.0 * math.log(2.0),
    ),
    # Lim and Ye 2017, "Geometric GAN"; Miyato et al. 2018.
    "hinge": Loss(
        lambda real, fake: tf.nn.relu(1.0 - real) + tf.nn.relu(1.0 + fake), lambda real, fake: -fake, chance=2.0
    ),
    # Arjovsky et al. 2017, "Wasserstein GAN".
    "wasserstein": Loss(lambda real, fake: fake - real, lambda real, fake: -fake, chance=None),
    # Jolicoeur-Martineau 2019, "The relativistic discriminator", pair by pair as in R3GAN (Huang et al. 2024).
    "relativistic": Loss(
        lambda real, fake: tf.nn.softplus(fake - real),
        lambda real, fake: tf.nn.softplus(real - fake),
        chance=math.log(2.0),
        generator_sees_photos=True,
    ),
}

# ---- Gradient penalties. `discriminate` takes images to outputs [batch, columns], each of its own image alone.

Discriminate = Callable[[tf.Tensor], tf.Tensor]


def outputs_and_squared_gradient(discriminate: Discriminate, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return D's outputs, and the squared L2 norm of the gradient of each logit with respect to its image, [batch].

    Times gamma / 2 it is R1 of Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?", on
    photos, and R2 on fakes. Of SAN's two columns the second detaches the features: the sum's gradient is that of D.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        outputs = discriminate(images)
    # The papers' weights are for pixels in [-1, 1]: d/d(2x - 1) is half of d/dx.
    return outputs, tf.reduce_sum(tf.square(tape.gradient(outputs, images) / 2.0), axis=[1, 2, 3])


def gradient_penalty(discriminate: Discriminate, real: tf.Tensor, fake: tf.Tensor, mix: tf.Tensor) -> tf.Tensor:
    """Return (norm of the gradient - 1)^2, [batch], at images `mix` of the way from real to fake.

    Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", equation 3. `mix` is [batch, 1, 1, 1] in [0, 1).
    """
    _, squared = outputs_and_squared_gradient(discriminate, real + mix * (fake - real))
    return tf.square(tf.sqrt(squared + 1e-12) - 1.0)  # at 0, where a flat critic begins, a root has no finite slope


def has_penalty(method: Preset) -> bool:
    """Return whether D's loss has a gradient penalty."""
    return not (method.r1_gamma.is_zero and method.r2_gamma.is_zero) or method.gradient_penalty > 0


# ---- Turns


@dataclass(frozen=True)
class Phase:
    """What varies from step to step."""

    updates_generator: bool = True
    penalised: bool = True  # whether D's loss has its gradient penalties


def phases(method: Preset) -> list[Phase]:
    """Return the cycle of a preset: step n, from 0 on, is in phase n modulo the length."""
    every = method.penalty_every if has_penalty(method) else 1
    return [
        Phase(updates_generator=(index + 1) % method.critic_steps == 0, penalised=index % every == 0)
        for index in range(math.lcm(method.critic_steps, every))
    ]


def batches_per_step(method: Preset, is_conditional: bool) -> int:
    """Return how many batches of photos a step takes: a second one where G's loss sees photos.

    A conditional step takes one for both updates: a relativistic loss pairs real and fake of the same labels, and the
    fakes have those of the first batch.
    """
    return 2 if LOSSES[method.loss].generator_sees_photos and not is_conditional else 1


# ---- The step


class StepValues(NamedTuple):
    """What a step returns: float32 scalars, each replica's share, whose sum is the value of the global batch."""

    d_loss: tf.Tensor  # D's adversarial loss, without penalties and without SAN's loss of the direction
    g_loss: tf.Tensor  # 0 where the step did not update G, as its gradient
    d_gradient: tf.Tensor  # L2 norm over all of D's variables, before clipping
    g_gradient: tf.Tensor
    generator_updates: tf.Tensor  # 1 where the step updated G, else 0
    real_sign: tf.Tensor  # mean sign of D's logits for photos; 0 where nothing adapts to it
    augment_probability: tf.Tensor  # 0 without augmentations


class MicroBatch(NamedTuple):
    """Examples that a replica computes at once."""

    photos: tf.Tensor
    labels: list[tf.Tensor]  # of photos and of fakes; empty without conditions
    noise: Noise
    more_photos: tf.Tensor | None = None  # for G, where its loss sees photos


def replica_step(
    gan: GAN,
    method: Preset,
    seed: int,
    replicas: int,
    phase: Phase = Phase(),
    micro_batch_size: int | None = None,
    jit: bool = False,
) -> Callable[[Sequence[Batch], tf.Tensor, tf.Tensor | float], StepValues]:
    """Return what each replica runs on its share of a step: an update of D, then one of G against the new D.

    It is a function of (`batches_per_step` batches, number of the step, int64, and with an `augment_target` the adapted
    probability of augmentations); `seed` and the number decide all noise. A replica computes `micro_batch_size`
    examples at once, a divisor of its batch, or all. `jit` compiles networks with XLA.
    """
    loss = LOSSES[method.loss]
    generator, discriminator = (
        tf.function(call, jit_compile=True, autograph=False) if jit else call
        for call in (partial(gan.generator, training=True), partial(gan.discriminator, training=True))
    )
    dropout_shapes = [entry.shape[1:] for entry in gan.discriminator.inputs[1:] if entry.name != LABELS]
    augmentations = [name for name in method.augment.split(",") if name]
    is_adaptive = method.augment_target is not None
    # Photos and fakes go through D in one pass where D has no batch statistics, so that the outputs are the same, and
    # where both are penalised or neither, so that no gradient is computed for nothing.
    both_or_neither = method.r1_gamma.is_zero == method.r2_gamma.is_zero
    is_one_pass = both_or_neither and not mixes_examples(gan.discriminator)

    def step(batches: Sequence[Batch], number: tf.Tensor, adapted: tf.Tensor | float = 0.0) -> StepValues:
        local_batch = batches[0].images.shape[0]
        size = micro_batch_size or local_batch
        first = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int64) * local_batch
        decay = cosine_decay(method, number)
        probability = adapted if is_adaptive else method.augment_probability.at(decay) if augmentations else 0.0

        def micro_batch_from(start: int) -> MicroBatch:
            noise, rows = Noise(seed, number, first + start, size), slice(start, start + size)

            def photos(batch: Batch, update: int) -> tf.Tensor:
                images = tf.cast(batch.images[rows], full_precision()) / 255.0
                if not method.flip:
                    return images
                return tf.where(noise.uniform(Purpose.FLIP, (1, 1, 1), update) < 0.5, images, tf.reverse(images, [2]))

            labels = [] if batches[0].labels is None else [tf.cast(batches[0].labels[rows], full_precision())]
            sees_more = loss.generator_sees_photos and phase.updates_generator
            return MicroBatch(photos(batches[0], 0), labels, noise, photos(batches[-1], 1) if sees_more else None)

        def torn_of(part: MicroBatch) -> MicroBatch:
            noise = replace(part.noise, first=part.noise.first // PHOTOS_PER_TORN, batch=size // PHOTOS_PER_TORN)
            torn = tear(part.photos, noise.uniform(Purpose.TEAR, (UNIFORMS,)))
            return MicroBatch(torn, [labels[::PHOTOS_PER_TORN] for labels in part.labels], noise)

        def generate(part: MicroBatch) -> tuple[tf.Tensor, tf.GradientTape]:
            with tf.GradientTape() as tape:
                z = part.noise.latent(method.latent, method.latent_distribution)
                return generator([z, *part.labels] if part.labels else z), tape

        def discriminator_for(part: MicroBatch, *purposes: Purpose) -> Discriminate:
            """Return images -> augmentation -> D as one function: penalties are on the images before augmentation.

            Its images are a batch for each purpose, one after the other. Its outputs are logits, [images, 1]; with SAN
            [images, 2]: column 0 trains the features, column 1 the direction.
            """

            def uniform(stream: int, *shape: int) -> tf.Tensor:
                return tf.concat([part.noise.uniform(purpose, shape, stream) for purpose in purposes], 0)

            def of_augmentation(index: int, count: int) -> tf.Tensor:
                return uniform(len(dropout) + index, count)

            dropout = [uniform(stream, *shape) for stream, shape in enumerate(dropout_shapes)]
            labels = [tf.tile(labels, (len(purposes), 1)) for labels in part.labels]
            return lambda images: discriminator(
                [augment(images, augmentations, probability, of_augmentation), *dropout, *labels]
            )

        def outputs_and_penalty(part: MicroBatch, fake: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | float]:
            """Return D's outputs for photos and for fakes, and all penalties, [batch] or 0."""
            real_and_fake = [
                (part.photos, Purpose.DISCRIMINATOR_REAL, method.r1_gamma),
                (fake, Purpose.DISCRIMINATOR_FAKE, method.r2_gamma),
            ]
            outputs: list[tf.Tensor] = []
            penalty = 0.0
            for one_pass in [real_and_fake] if is_one_pass else [[batch] for batch in real_and_fake]:
                images, purposes, gammas = zip(*one_pass, strict=True)
                discriminate, joined = discriminator_for(part, *purposes), tf.concat(images, 0)
                if not phase.penalised or all(gamma.is_zero for gamma in gammas):
                    outputs += tf.split(discriminate(joined), len(images))
                    continue
                joined_outputs, squared = outputs_and_squared_gradient(discriminate, joined)
                outputs += tf.split(joined_outputs, len(images))
                for gamma, square in zip(gammas, tf.split(squared, len(images)), strict=True):
                    penalty += method.penalty_every * gamma.at(decay) / 2.0 * square
            if phase.penalised and method.gradient_penalty:
                mix = part.noise.uniform(Purpose.INTERPOLATION, (1, 1, 1))
                discriminate = discriminator_for(part, Purpose.DISCRIMINATOR_BETWEEN)
                between = gradient_penalty(discriminate, part.photos, fake, mix)
                penalty += method.penalty_every * method.gradient_penalty * between
            return *outputs, penalty

        def share_of_mean(per_example: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(per_example) / (local_batch * replicas)

        def discriminator_loss(real_out: tf.Tensor, fake_out: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            """Return D's adversarial loss, and the same with SAN's loss of the direction, both [batch]."""
            adversarial = loss.discriminator(real_out[:, 0], fake_out[:, 0])
            return adversarial, adversarial + (fake_out[:, 1] - real_out[:, 1] if method.san else 0.0)

        parts = [micro_batch_from(start) for start in range(0, local_batch, size)]
        # One pass of G serves both updates: its tape is kept and entered again in g_loss_and_gradients. Micro-batches
        # run G again, to save the memory of keeping it.
        shared = generate(parts[0]) if len(parts) == 1 else None

        def d_loss_and_gradients(part: MicroBatch) -> list[tf.Tensor]:
            fake, _ = shared or generate(part)
            with tf.GradientTape() as tape:
                real_out, fake_out, penalty = outputs_and_penalty(part, fake)
                adversarial, with_direction = discriminator_loss(real_out, fake_out)
                total = share_of_mean(with_direction + penalty)
                if method.torn:
                    torn = torn_of(part)
                    torn_out = discriminator_for(torn, Purpose.DISCRIMINATOR_TORN)(torn.photos)
                    _, torn_loss = discriminator_loss(real_out[::PHOTOS_PER_TORN], torn_out)
                    total += method.torn * PHOTOS_PER_TORN * share_of_mean(torn_loss)
            real_sign = share_of_mean(tf.sign(real_out[:, 0])) if is_adaptive else tf.zeros_like(total)
            return [share_of_mean(adversarial), real_sign, *tape.gradient(total, gan.discriminator.trainable_variables)]

        def g_loss_and_gradients(part: MicroBatch) -> list[tf.Tensor]:
            fake, tape = shared or generate(part)
            with tape:
                real_logits = None
                if part.more_photos is not None:
                    real_logits = discriminator_for(part, Purpose.GENERATOR_REAL)(part.more_photos)[:, 0]
                fake_logits = discriminator_for(part, Purpose.GENERATOR)(fake)[:, 0]
                total = share_of_mean(loss.generator(real_logits, fake_logits))
            return [total, *tape.gradient(total, gan.generator.trainable_variables)]

        d_loss, real_sign, *gradients = _summed(parts, d_loss_and_gradients)
        d_norm = _update(gan.discriminator, gan.d_optimizer, gradients, method.clip_norm)
        g_loss = g_norm = updates = tf.zeros_like(d_loss)
        if phase.updates_generator:
            g_loss, *gradients = _summed(parts, g_loss_and_gradients)
            g_norm = _update(gan.generator, gan.g_optimizer, gradients, method.clip_norm)
            updates = tf.ones_like(g_loss)
        # Norms, counts and the probability are the same on every replica.
        same = (d_norm / replicas, g_norm / replicas, updates / replicas)
        return StepValues(d_loss, g_loss, *same, real_sign, probability / replicas)

    return step


def _summed(parts: Sequence[MicroBatch], gradients: Callable[[MicroBatch], list[tf.Tensor]]) -> list[tf.Tensor]:
    """Sum over micro-batches, one after the other: in parallel they would need the memory of all of them."""
    total = gradients(parts[0])
    for part in parts[1:]:
        with tf.control_dependencies(total):
            total = [so_far + value for so_far, value in zip(total, gradients(part), strict=True)]
    return total


def _update(
    network: keras.Model, optimizer: keras.optimizers.Optimizer, gradients: list[tf.Tensor], clip_norm: float | None
) -> tf.Tensor:
    """Apply the gradient of the global batch, clipped; return its norm before clipping."""
    # All-reduced before clipping: the norm is of the global gradient. `optimizer.Adam` does not reduce again.
    gradients = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    norm = tf.linalg.global_norm(gradients)
    if clip_norm is not None:
        gradients, _ = tf.clip_by_global_norm(gradients, clip_norm, use_norm=norm)
    optimizer.apply(gradients, network.trainable_variables)
    return norm
