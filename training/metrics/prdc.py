"""Precision, recall, density and coverage: how good the faces are, and how much of the real ones they reach.

Around each image's features lies a ball that reaches to its k-th nearest neighbour in the same set; the balls together
stand for where that set lives.

- precision: fakes inside of any real ball; recall: reals inside of any fake ball (Kynkaanniemi et al. 2019, "Improved
  Precision and Recall Metric"; its k is 3).
- density: real balls that a fake lies in, over k, which a few far outliers cannot lift; coverage: real balls that hold
  any fake (Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics"; its k is 5).

All depend on the count: balls shrink as images are added. Compare equal counts.
"""

from __future__ import annotations

import numpy as np

from training.metrics.distances import blocks

PRECISION_K = 3
DENSITY_K = 5


def precision(real: np.ndarray, real_radii: np.ndarray, fake: np.ndarray) -> float:
    """Return the share of fakes that lie in a real ball; recall, with the roles exchanged.

    Features are [count, width]; `real_radii` the distance of each real to its k-th nearest real.
    """
    return float(np.mean(np.concatenate([(block <= real_radii).any(axis=1) for _, block in blocks(fake, real)])))


def density(real: np.ndarray, real_radii: np.ndarray, fake: np.ndarray, k: int) -> float:
    """The mean over fakes of the number of real balls around each, over k: about 1 for fakes as good as reals."""
    return sum(int((block <= real_radii).sum()) for _, block in blocks(fake, real)) / (k * len(fake))


def coverage(real: np.ndarray, real_radii: np.ndarray, fake: np.ndarray) -> float:
    """The share of real balls that hold a fake."""
    held = [block.min(axis=1) <= real_radii[rows] for rows, block in blocks(real, fake)]
    return float(np.mean(np.concatenate(held)))
