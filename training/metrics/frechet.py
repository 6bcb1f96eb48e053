"""Frechet distance between two sets of features, each seen as one normal distribution.

Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule": in Inception's features it is the FID. It grows
with the width of the features over the count, so that only figures of equal counts compare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of features, float64."""

    mean: np.ndarray  # [width]
    covariance: np.ndarray  # [width, width]

    @classmethod
    def of(cls, features: np.ndarray) -> Gaussian:
        """The unbiased estimate from features [count, width], at least two of them."""
        features = features.astype(np.float64)
        return cls(features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False)))


def distance(real: Gaussian, fake: Gaussian) -> float:
    """|m1 - m2|^2 + trace(S1 + S2 - 2 (S1 S2)^(1/2)), at least 0."""
    offset = np.square(real.mean - fake.mean).sum()
    spread = np.trace(real.covariance) + np.trace(fake.covariance)
    return max(0.0, float(offset + spread - 2.0 * _trace_of_root(real.covariance, fake.covariance)))


def _trace_of_root(first: np.ndarray, second: np.ndarray) -> float:
    """Return trace((S1 S2)^(1/2)): S1 S2 has the eigenvalues of the symmetric R1 S2 R1, with R1 the root of S1.

    Those are the squares of the singular values of R1 R2, and singular values keep the digits that the root of a
    small eigenvalue would lose. Nothing is inverted and nothing turns complex where a covariance is singular, as it
    is with fewer images than features.
    """
    return float(np.linalg.svd(_root(first) @ _root(second), compute_uv=False).sum())


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
