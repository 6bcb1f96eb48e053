"""Classifier two-sample test (Lopez-Paz & Oquab 2017, https://arxiv.org/abs/1610.06545)."""

from __future__ import annotations

import numpy as np

PENALTY = 1.0  # times half the squared weights: classes that a plane parts have no other finite answer


def accuracy(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return how often a classifier tells two samples apart, and the standard error, both in percent; chance is 50.

    Both are float32 [count, width]. The classifier is a logistic regression on standardised features. It learns from
    a random half of each sample, always the same, and is asked about the other.
    """
    rng = np.random.default_rng(0)
    shuffled = [rng.permutation(sample.astype(np.float64)) for sample in (first, second)]
    known, asked = (np.concatenate([sample[start::2] for sample in shuffled]) for start in (0, 1))
    known_class, asked_class = (
        np.repeat([-1.0, 1.0], [len(sample[start::2]) for sample in shuffled]) for start in (0, 1)
    )
    mean, deviation = known.mean(0), known.std(0)
    known, asked = ((x - mean) / np.where(deviation > 0, deviation, 1.0) for x in (known, asked))
    weights, bias = fit(known, known_class)
    share = float(np.mean(np.sign(asked @ weights + bias) == asked_class))
    return 100 * share, 100 * float(np.sqrt(share * (1 - share) / len(asked)))


def fit(x: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, float]:
    """Return weights and bias of the logistic regression of float64 [count, width] on classes of -1 and 1."""
    from scipy.optimize import minimize  # 0.3 s, which training would pay for at each start

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = parameters[:-1], parameters[-1]
        margin = classes * (x @ weights + bias)
        slope = -classes * np.exp(-np.logaddexp(0.0, margin))
        value = np.logaddexp(0.0, -margin).sum() + PENALTY / 2 * weights @ weights
        return float(value), np.append(x.T @ slope + PENALTY * weights, slope.sum())

    solved = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 1_000}).x
    return solved[:-1], float(solved[-1])
