"""One update of D and one of G."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import tensorflow as tf
from keras.config import floatx

from training.augment import augment
from training.losses import LOSSES
from training.networks import family
from training.noise import Noise, Purpose
from training.penalties import between, judged_with_slope
from training.presets import Preset
from training.progress import Progress
from training.ramp import Ramp


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
    shown: keras.Model
    """The generator that samples come from: the moving average where the preset has one, else the generator itself."""


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


def left(method: Preset, step: tf.Tensor) -> tf.Tensor:
    """How much is left of the start of every `Ramp` at this step: float32, 1 to 0 along half a cosine."""
    if not method.ramp_kimg:
        return tf.ones([], floatx())
    done = tf.cast(step, floatx()) * (method.batch_size / (1000.0 * method.ramp_kimg))
    return 0.5 * (1.0 + tf.cos(math.pi * tf.minimum(done, 1.0)))


class Adam(keras.optimizers.Adam):
    """Keras's Adam whose beta_2 may change with every step, as its learning rate may already."""

    def __init__(self, learning_rate: Callable[[], tf.Tensor], beta_1: float, beta_2: Callable[[], tf.Tensor]):
        super().__init__(learning_rate, beta_1)
        self._beta_2_now = beta_2

    def update_step(self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor) -> None:
        """Update one variable."""
        self.beta_2 = self._beta_2_now()
        super().update_step(gradient, variable, learning_rate)


def build(method: Preset, image_shape: tuple[int, int, int], seed: int, progress: Progress) -> Pair:
    """Build both networks and their optimizers, initialised from `seed`. Call it within the strategy's scope."""
    # Keras takes its initialisers' seeds from Python's generator. `keras.utils.set_random_seed` would set TensorFlow's
    # global seed too, which tf.data then mixes into its own: the order of photos would no longer be a function of
    # (seed, epoch) alone.
    random.seed(seed)
    networks = family(method.network)
    with _computing_in(method.precision):
        generator = networks.generator(image_shape, method.latent)
        discriminator = networks.discriminator(image_shape)
        shown = generator if method.ema_kimg.is_zero else networks.generator(image_shape, method.latent)
    if shown is not generator:
        for average, variable in zip(shown.variables, generator.variables, strict=True):
            average.assign(variable)

    def player(network: keras.Model, rate: Ramp) -> Player:
        optimizer = Adam(
            lambda: rate.at(left(method, progress.step)) * progress.lr_scale,
            method.beta_1,
            lambda: method.beta_2.at(left(method, progress.step)),
        )
        optimizer.build(network.trainable_variables)  # before tracing: variables cannot be made inside a tf.function
        return Player(network, optimizer)

    return Pair(player(generator, method.lr_g), player(discriminator, method.lr_d), shown)


@contextmanager
def _computing_in(precision: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else floatx())
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class Game:
    """What both players lose on some examples of a batch; no variable changes here but those of normalisation.

    Images are float32 [batch, height, width, channels] in [0, 1], losses float32 [batch].
    """

    def __init__(self, pair: Pair, method: Preset, jit: bool = False):
        self._method, self._loss = method, LOSSES[method.loss]
        self._generate = _forward(pair.generator.network, jit)
        self._discriminate = _forward(pair.discriminator.network, jit)
        self._noise_shapes = [entry.shape[1:] for entry in pair.discriminator.network.inputs[1:]]
        self._augmentations = [name for name in method.augment.split(",") if name]

    def photos(self, pixels: tf.Tensor, noise: Noise, batch: int) -> tf.Tensor:
        """Photos as the game takes them, mirrored or not; `batch` tells apart the batches of one step."""
        images = tf.cast(pixels, floatx()) / 255.0
        if self._method.flip:
            keeps = noise.uniform(Purpose.FLIP, (1, 1, 1), batch) < 0.5
            images = tf.where(keeps, images, tf.reverse(images, [2]))
        return images

    def fakes(self, noise: Noise) -> tf.Tensor:
        """Generated images."""
        return self._generate(noise.latent(self._method.latent, self._method.latent_distribution))

    def discriminator(
        self, real: tf.Tensor, fake: tf.Tensor, noise: Noise, left: tf.Tensor, penalised: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """D's adversarial loss, and its penalties."""
        method = self._method
        real = self._augmented(real, noise, Purpose.DISCRIMINATOR_REAL, left)
        fake = self._augmented(fake, noise, Purpose.DISCRIMINATOR_FAKE, left)
        penalties = tf.zeros_like(real[:, 0, 0, 0])
        logits = []
        for images, purpose, gamma in (
            (real, Purpose.DISCRIMINATOR_REAL, method.r1_gamma),
            (fake, Purpose.DISCRIMINATOR_FAKE, method.r2_gamma),
        ):
            judge = self._judge(noise, purpose)
            if penalised and not gamma.is_zero:
                seen, squared_slope = judged_with_slope(judge, images)
                penalties += gamma.at(left) / 2.0 * squared_slope
            else:
                seen = judge(images)
            logits.append(seen)
        if penalised and method.gradient_penalty:
            places = noise.uniform(Purpose.BETWEEN, (1, 1, 1))
            judge = self._judge(noise, Purpose.BETWEEN)
            penalties += method.gradient_penalty * between(judge, real, fake, places)
        return self._loss.discriminator(*logits), method.penalty_every * penalties

    def generator(self, real: tf.Tensor | None, fake: tf.Tensor, noise: Noise, left: tf.Tensor) -> tf.Tensor:
        """G's loss; `real` are photos for a loss that sees them."""
        real_logits = None
        if real is not None:
            real = self._augmented(real, noise, Purpose.GENERATOR_REAL, left)
            real_logits = self._judge(noise, Purpose.GENERATOR_REAL)(real)
        fake = self._augmented(fake, noise, Purpose.GENERATOR, left)
        return self._loss.generator(real_logits, self._judge(noise, Purpose.GENERATOR)(fake))

    def _judge(self, noise: Noise, purpose: Purpose) -> Callable[[tf.Tensor], tf.Tensor]:
        drawn = [noise.uniform(purpose, shape, index) for index, shape in enumerate(self._noise_shapes)]
        return lambda images: tf.squeeze(self._discriminate([images, *drawn]), -1)

    def _augmented(self, images: tf.Tensor, noise: Noise, purpose: Purpose, left: tf.Tensor) -> tf.Tensor:
        streams = len(self._noise_shapes)  # those below are dropout's

        def uniform(place: int) -> tf.Tensor:
            return noise.uniform(purpose, (3,), streams + place)

        return augment(images, self._augmentations, self._method.augment_probability.at(left), uniform)


def _forward(network: keras.Model, jit: bool) -> Callable[[tf.Tensor | list[tf.Tensor]], tf.Tensor]:
    def forward(inputs: tf.Tensor | list[tf.Tensor]) -> tf.Tensor:
        return network(inputs, training=True)

    return tf.function(forward, jit_compile=True) if jit else forward


def replica_step(
    pair: Pair,
    method: Preset,
    seed: int,
    replicas: int,
    turn: Turn = Turn(),
    micro_batch: int | None = None,
    jit: bool = False,
) -> Callable[[Sequence[tf.Tensor], tf.Tensor], tf.Tensor]:
    """The update that every replica runs on its share of a global batch.

    Args:
        pair: the networks.
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
    game = Game(pair, method, jit)

    def step(batches: Sequence[tf.Tensor], step_number: tf.Tensor) -> tf.Tensor:
        local_batch = batches[0].shape[0]
        size = micro_batch or local_batch
        parts = range(0, local_batch, size)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        start_left = left(method, step_number)

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
                loss, penalty = game.discriminator(photos(0, first), fake, noise(first), start_left, turn.penalised)
                total = share(loss + penalty)
            return [share(loss), *tape.gradient(total, pair.discriminator.network.trainable_variables)]

        def generator_part(first: int) -> list[tf.Tensor]:
            fake, tape = kept or generated(first)
            with tape:
                real = photos(1, first) if len(batches) > 1 else None
                loss = share(game.generator(real, fake, noise(first), start_left))
            return [loss, *tape.gradient(loss, pair.generator.network.trainable_variables)]

        d_loss, *gradients = _summed(parts, discriminator_part)
        d_norm = _update(pair.discriminator, gradients, method.clip_norm)
        if not turn.updates_generator:
            zero = tf.zeros_like(d_loss)
            return tf.stack([d_loss, zero, d_norm / replicas, zero, zero])
        g_loss, *gradients = _summed(parts, generator_part)
        g_norm = _update(pair.generator, gradients, method.clip_norm)
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


def average(strategy: tf.distribute.Strategy, pair: Pair, half_life: tf.Tensor, images: int) -> None:
    """Move `pair.shown` towards the generator by what `images` photos are worth; in cross-replica context.

    Args:
        strategy: where the networks are.
        pair: the networks.
        half_life: in photos; 0 copies.
        images: how many were seen since the last call.
    """
    keep = 0.5 ** (images / tf.maximum(half_life, 1e-3))
    learnt = {id(variable) for variable in pair.shown.trainable_variables}
    for shown, variable in zip(pair.shown.variables, pair.generator.network.variables, strict=True):
        # Statistics of normalisation are averages already.
        kept = keep if id(shown) in learnt else tf.zeros_like(keep)
        strategy.extended.update(
            shown.value, lambda old, new, kept: old.assign(new + kept * (old - new)), args=(variable.value, kept)
        )
