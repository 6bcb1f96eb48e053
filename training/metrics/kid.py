"""Kernel inception distance: the squared maximum mean discrepancy of two sets of features, free of bias.

Binkowski et al. 2018, "Demystifying MMD GANs". Unlike the Frechet distance it does not depend on the count, and it
comes with an error; it can fall below 0.
"""

from __future__ import annotations

import numpy as np

SUBSETS = 50
SUBSET_SIZE = 1_000


def distance(real: np.ndarray, fake: np.ndarray) -> tuple[float, float]:
    """Return the mean of MMD^2 over random subsets of features [count, width], and its standard error.

    Subsets of b out of n overlap, so their mean is surer than one of them and less sure than 50 apart would make it:
    deviation * sqrt(b / (n - b)) (subsampling without replacement, Politis, Romano and Wolf 1999, section 10.3.1).
    """
    count = min(len(real), len(fake))
    size = min(SUBSET_SIZE, count // 2)
    rng = np.random.default_rng(0)
    estimates = [
        mmd2(real[rng.choice(len(real), size, replace=False)], fake[rng.choice(len(fake), size, replace=False)])
        for _ in range(SUBSETS)
    ]
    return float(np.mean(estimates)), float(np.std(estimates, ddof=1) * np.sqrt(size / (count - size)))


def mmd2(real: np.ndarray, fake: np.ndarray) -> float:
    """The unbiased estimate of MMD^2 (Gretton et al. 2012, equation 3) from two sets of one size, in float64."""
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    size = len(real)
    within = sum(kernel.sum() - np.trace(kernel) for kernel in (_kernel(real, real), _kernel(fake, fake)))
    return float(within / (size * (size - 1)) - 2.0 * _kernel(real, fake).mean())


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1.0) ** 3
