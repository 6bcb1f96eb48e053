"""Signs of a collapsed GAN: the same face for every z, a discriminator that is always right, losses that diverge.

A sign is a warning and stops no run: some recover, and only a person can see whether the faces are still good.
"""

from __future__ import annotations

import math

import numpy as np

# An untrained generator draws nearly the same image for every z: before this many thousand photos that means nothing.
MIN_KIMG = 20.0
ALIKE = 0.1  # spread of the faces, as a fraction of the photos', below which they are alike
NEAR_ZERO = 0.02  # the discriminator's loss, as a fraction of its value at chance, below which it is near zero
PATIENCE_KIMG = 20.0  # thousands of photos for which that loss has to be near zero
# A loss above this many times the discriminator's loss at chance has diverged. Healthy runs were seen to pass 60 for
# some steps; diverged ones stay above 1,000.
DIVERGENCE = 200.0

FACES_ALIKE = "collapse: the generator draws nearly the same face for every z"
DISCRIMINATOR_WINS = "collapse: the discriminator's loss has been near zero for long, so the generator learns nothing"
DIVERGED = "the losses have diverged: start again with half of --lr-g and --lr-d, or with --clip-norm 1"


def spread(images: np.ndarray) -> float:
    """Return the standard deviation over images, uint8 [count, height, width, channels], mean over their pixels.

    In grey levels: 0 where all are the same, 59 for photos of CelebA.
    """
    return float(np.std(images.astype(np.float64), axis=0).mean())


class CollapseDetector:
    """Finds signs of collapse from one interval of a run to the next."""

    def __init__(self, chance: float | None):
        """Begin at the start of a run.

        `chance` is the discriminator's loss when it cannot tell real from fake; None where the loss has no such value
        (Wasserstein): then only the spread of the faces counts.
        """
        self._min_d_loss = None if chance is None else NEAR_ZERO * chance
        self._max_loss = math.inf if chance is None else DIVERGENCE * chance
        self._near_zero_since: float | None = None
        self._alike = False

    def update(self, kimg: float, d_loss: float, g_loss: float, relative_spread: float) -> str:
        """Take in the interval that ended with `kimg` thousand photos, and return the warning, or "".

        The losses are means over the interval, G's NaN where no step updated it. `relative_spread` is the spread of
        generated faces over that of photos; NaN where it was not measured.
        """
        if self._min_d_loss is None or d_loss >= self._min_d_loss:
            self._near_zero_since = None
        elif self._near_zero_since is None:
            self._near_zero_since = kimg
        if not math.isnan(relative_spread):
            self._alike = kimg >= MIN_KIMG and relative_spread < ALIKE
        is_long = self._near_zero_since is not None and kimg - self._near_zero_since >= PATIENCE_KIMG
        diverged = d_loss > self._max_loss or g_loss > self._max_loss
        return "; ".join([FACES_ALIKE] * self._alike + [DISCRIMINATOR_WINS] * is_long + [DIVERGED] * diverged)
