"""Signs that a GAN has stopped learning: faces alike whatever z, a D that G cannot reach, losses that have run away.

None stops a run: some recover, and whether the faces are still worth something is for a person to see.
"""

from __future__ import annotations

import math

import numpy as np

# An untrained G is flat, and so alike for every z: before this many thousand photos that says nothing.
FIRST_KIMG = 20.0
ALIKE = 0.1
"""Faces are alike where they spread less than this part of what photos do."""
NEAR_ZERO = 0.02
"""D's loss is near zero below this part of what it is when D cannot tell real from fake."""
LONG_KIMG = 20.0
RUN_AWAY = 200.0
"""A loss has run away above this many times what D's is when it cannot tell real from fake.

`r3gan` in batches of 4 at rates of 4e-4 passed 60 in its first steps and recovered (its chance is 0.7); later G's loss
passed 35 million, and was still 1,300 after 260 more photos.
"""

FACES_ALIKE = "collapse: G draws nearly one face for every z"
OUT_OF_REACH = "collapse: D's loss has been near zero for long, so G learns nothing"
RAN_AWAY = "the losses have run away: begin again with half of --lr-g and --lr-d, or with --clip-norm 1"


def spread(images: np.ndarray) -> float:
    """How far images differ from each other: the standard deviation over the images, mean over the pixels.

    Args:
        images: uint8 [count, height, width, channels].

    Returns:
        In grey levels: 0 where all are the same, 59 for photos of CelebA.
    """
    return float(np.std(images.astype(np.float64), axis=0).mean())


class Watch:
    """What is to be warned of, from one interval of a run to the next."""

    def __init__(self, chance: float | None):
        """Begin at the start of a run.

        Args:
            chance: D's loss when it cannot tell real from fake; None where its loss has no such bound, as a
                Wasserstein distance has none: then only the faces are watched.
        """
        self._least = None if chance is None else NEAR_ZERO * chance
        self._most = math.inf if chance is None else RUN_AWAY * chance
        self._near_zero_since: float | None = None
        self._alike = False

    def see(self, kimg: float, d_loss: float, g_loss: float, relative_spread: float | None) -> str:
        """Look at the interval that ended with `kimg` thousand photos.

        Args:
            kimg: thousands of photos seen so far.
            d_loss: D's loss, mean over the interval.
            g_loss: G's, NaN where no step updated it.
            relative_spread: of G's faces over that of photos; None where it was not looked at.

        Returns:
            The warning, or "".
        """
        if self._least is None or d_loss >= self._least:
            self._near_zero_since = None
        elif self._near_zero_since is None:
            self._near_zero_since = kimg
        if relative_spread is not None:
            self._alike = kimg >= FIRST_KIMG and relative_spread < ALIKE
        for_long = self._near_zero_since is not None and kimg - self._near_zero_since >= LONG_KIMG
        ran_away = d_loss > self._most or g_loss > self._most
        return "; ".join([FACES_ALIKE] * self._alike + [OUT_OF_REACH] * for_long + [RAN_AWAY] * ran_away)
