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
"""At this strength a direction changes its attribute for `CHANGED` of the faces, where z decides it."""
CHANGED = 0.88
"""As the predictor sees it. A judge of other photos sees 0.85 to 0.87 for Male, Smiling and Eyeglasses of `lite`."""

# Of the predictor. Of 40,000 z of `lite` it then explains 0.89 of the scores' variance; a linear model 0.65.
WIDTH, UPDATES, BATCH, RATE = 512, 3_000, 256, 2e-3

# Of the directions: 400 steps with 64 faces each. An answer counts as half changed where the score is 0, and as nine
# tenths changed at 0.55 standard deviations of the score beyond.
STEPS, FACES, DIRECTION_RATE, SOFTNESS = 400, 64, 0.03, 0.25


def refine(
    found: Directions,
    z: np.ndarray,
    labels: np.ndarray | None,
    logits: np.ndarray,
    distribution: str,
    others_weight: float,
    seed: int,
) -> Directions:
    """Return directions of the same names that start from these and move `CHANGED` of the faces over at `STRENGTH`.

    Those that would have to be longer than a normal z for it are not calibrated. The areas under the curve stay those
    of the directions that were given.

    Args:
        found: by `directions.find`, each of length 1.
        z: float32 [count, length], thousands of them.
        labels: float32 [count, conditions], those of the faces, which keep them; None where there are none.
        logits: float32 [count, attributes]: what a network says of the face of each.
        distribution: of z.
        others_weight: how much a change of all other answers counts against one of the own; 0 where anything may
            change.
        seed: of the predictor's weights and of all orders.
    """
    labels = np.zeros((len(z), 0), np.float32) if labels is None else labels
    spread = np.maximum(logits.std(axis=0), 1e-6)
    scale = SOFTNESS * spread
    predict = _predictor(np.concatenate([z, labels], axis=1), logits, spread, seed)
    vectors = tf.Variable(STRENGTH * found.vectors)
    longest = float(np.sqrt(z.shape[1]))  # as long as a normal z, which it turns by about 45 degrees
    rate = keras.optimizers.schedules.CosineDecay(DIRECTION_RATE, STEPS)
    optimizer = keras.optimizers.Adam(rate, beta_2=0.99)
    optimizer.build([vectors])
    attributes = logits.shape[1]

    def scores_of(z: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        told = tf.broadcast_to(labels[:, tf.newaxis], [FACES, z.shape[1], labels.shape[1]])
        entries = tf.concat([z, told], axis=2)
        return tf.reshape(predict(tf.reshape(entries, [-1, entries.shape[2]])), [FACES, -1, attributes])

    @tf.function(autograph=False)
    def step(z: tf.Tensor, labels: tf.Tensor, has: tf.Tensor) -> None:
        signs = tf.where(has, 1.0, -1.0)
        with tf.GradientTape() as tape:
            after = scores_of(move(z, -signs[..., tf.newaxis] * vectors, distribution), labels)
            before = scores_of(z[:, tf.newaxis], labels)
            changed, at_rest = (tf.sigmoid(-signs[:, tf.newaxis] * scores / scale) for scores in (after, before))
            own = tf.reduce_mean(tf.linalg.diag_part(changed), axis=0)
            added = tf.reduce_mean(tf.nn.relu(changed - at_rest), axis=0)
            others = (tf.reduce_sum(added, axis=1) - tf.linalg.diag_part(added)) / max(attributes - 1, 1)
            loss = tf.reduce_sum(tf.abs(CHANGED - own) + others_weight * others)
        optimizer.apply([tape.gradient(loss, vectors)])
        vectors.assign(tf.clip_by_norm(vectors, longest, axes=[1]))

    random = np.random.default_rng(seed)
    for _ in range(STEPS):
        chosen = random.integers(0, len(z), FACES)
        step(tf.constant(z[chosen]), tf.constant(labels[chosen]), tf.constant(logits[chosen] > 0))
    lengths = np.linalg.norm(vectors.numpy(), axis=1)
    is_calibrated = (lengths > 0) & (lengths < 0.999 * longest)  # what is as long as it may be would have become longer
    return replace(found, vectors=vectors.numpy() / np.float32(STRENGTH), is_calibrated=is_calibrated)


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


def _predictor(
    entries: np.ndarray, logits: np.ndarray, spread: np.ndarray, seed: int
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function of z and labels, float32 [count, lengths], that says what the scorer says of their faces.

    That is float32 [count, attributes]; `spread` is the standard deviation of each.
    """
    keras.utils.set_random_seed(seed)
    mean = logits.mean(axis=0)
    x = entry = keras.Input(entries.shape[1:])
    for _ in range(2):
        x = layers.Dense(WIDTH, "swish")(x)
    network = keras.Model(entry, layers.Dense(logits.shape[1])(x))
    epochs = -(-UPDATES * BATCH // len(entries))
    rate = keras.optimizers.schedules.CosineDecay(RATE, UPDATES)
    network.compile(keras.optimizers.AdamW(rate, weight_decay=1e-3), "mse")
    network.fit(entries, (logits - mean) / spread, BATCH, epochs, verbose=0)
    return lambda entries: network(entries, training=False) * spread + mean
