"""Directions along which a face changes its attribute and keeps the others, refined on a network that predicts scores.

A linear model tells where an attribute is among faces as they come. Moved by several standard deviations, a face leaves
the places where that holds. Here a small network learns what the scorer says of any z; it is a thousand times as fast
as a generator and a scorer, so that the directions can be trained, by gradient descent, to change answers: their own
for most faces, the others' for as few as possible. The method is this project's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from training.explore.directions import SPREADS, Directions

STRENGTH = 3.0
"""At this strength a direction changes its attribute for `CHANGED` of the faces, as far as it can."""
CHANGED = 0.85

# Of the predictor. After 20 epochs of 18,000 z of `lite` it explains 0.86 of the scores' variance; a linear model 0.64.
WIDTH, EPOCHS, BATCH, RATE = 384, 20, 256, 2e-3

# Of the directions: 400 steps with 64 faces each, 12 s on two cores (AMD EPYC). An answer counts as half changed where
# the score is 0, and as nine tenths changed at 0.55 standard deviations of the score beyond.
STEPS, FACES, DIRECTION_RATE, SOFTNESS = 400, 64, 0.03, 0.25


def refine(
    found: Directions, z: np.ndarray, logits: np.ndarray, distribution: str, keeps_others: float, seed: int
) -> Directions:
    """Return directions of the same names that start from these, their lengths such that `STRENGTH` means the same.

    Args:
        found: by `directions.find`, each of length 1.
        z: float32 [count, length], thousands of them.
        logits: float32 [count, attributes]: what a network says of the face of each.
        distribution: of z.
        keeps_others: how much a change of all other answers counts against one of the own; 0 where anything may
            change.
        seed: of the predictor's weights and of all orders.
    """
    predict = _predictor(z, logits, seed)
    vectors = tf.Variable(STRENGTH * found.vectors)
    longest = float(np.sqrt(z.shape[1]))  # as long as a normal z: a face is moved by 45 degrees at most
    rate = keras.optimizers.schedules.CosineDecay(DIRECTION_RATE, STEPS)
    optimizer = keras.optimizers.Adam(rate, beta_2=0.99)
    optimizer.build([vectors])
    scale = tf.constant(SOFTNESS * logits.std(axis=0), tf.float32)

    @tf.function(autograph=False)
    def step(z: tf.Tensor, has: tf.Tensor) -> None:
        signs = tf.where(has, 1.0, -1.0)
        with tf.GradientTape() as tape:
            moved = move(z, -signs[..., tf.newaxis] * vectors, distribution)
            after = tf.reshape(predict(tf.reshape(moved, [-1, z.shape[1]])), [FACES, *logits.shape[1:] * 2])
            before = predict(z)[:, tf.newaxis]
            changed, at_rest = (tf.sigmoid(-signs[:, tf.newaxis] * scores / scale) for scores in (after, before))
            own = tf.reduce_mean(tf.linalg.diag_part(changed), axis=0)
            added = tf.reduce_mean(tf.nn.relu(changed - at_rest), axis=0)
            others = (tf.reduce_sum(added, axis=1) - tf.linalg.diag_part(added)) / max(logits.shape[1] - 1, 1)
            loss = tf.reduce_sum(tf.nn.relu(CHANGED - own) + keeps_others * others)
        optimizer.apply([tape.gradient(loss, vectors)])
        vectors.assign(tf.clip_by_norm(vectors, longest, axes=[1]))

    random = np.random.default_rng(seed)
    for _ in range(STEPS):
        chosen = random.integers(0, len(z), FACES)
        step(tf.constant(z[chosen]), tf.constant(logits[chosen] > 0))
    return replace(found, vectors=vectors.numpy() / np.float32(STRENGTH))


def move(z: tf.Tensor, steps: tf.Tensor, distribution: str) -> tf.Tensor:
    """Return each z moved by each of its steps, as `Directions.edit` does: float32 [count, directions, length].

    Args:
        z: float32 [count, length].
        steps: float32 [count, directions, length], in standard deviations.
        distribution: of z.
    """
    moved = z[:, tf.newaxis] + SPREADS[distribution] * steps
    if distribution == "uniform":
        return tf.clip_by_value(moved, -1.0, 1.0)
    lengths = (tf.norm(rows, axis=-1, keepdims=True) for rows in (z[:, tf.newaxis], moved))
    return moved * tf.math.divide_no_nan(*lengths)


def _predictor(z: np.ndarray, logits: np.ndarray, seed: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function that says of z, [count, length], what the scorer says of their faces, [count, attributes]."""
    keras.utils.set_random_seed(seed)
    mean, spread = logits.mean(axis=0), np.maximum(logits.std(axis=0), 1e-6)
    x = entry = keras.Input(z.shape[1:])
    for _ in range(2):
        x = layers.Dense(WIDTH, "swish")(x)
    network = keras.Model(entry, layers.Dense(logits.shape[1])(x))
    rate = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * -(-len(z) // BATCH))
    network.compile(keras.optimizers.AdamW(rate, weight_decay=1e-3), "mse")
    network.fit(z, (logits - mean) / spread, BATCH, EPOCHS, verbose=0)
    return lambda z: network(z, training=False) * spread + mean
