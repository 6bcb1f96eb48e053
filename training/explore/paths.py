"""Ways through the space of z."""

from __future__ import annotations

import numpy as np


def walk(stops: np.ndarray, frames: int, distribution: str, is_loop: bool) -> np.ndarray:
    """Return the z of a walk from stop to stop: float32 [legs * frames, faces, size], and the last stop where it ends.

    Each leg begins and ends slowly, along half a cosine. A loop has a leg from the last stop back to the first, and
    its last frame is the one before the first.

    Args:
        stops: z, float32 [stops, faces, size], two or more.
        frames: of each leg.
        distribution: "normal" z are interpolated along a sphere, as in Shoemake 1985, since a straight line would pass
            through z that are shorter than any that the generator was trained on; "uniform" ones along a line, which
            stays in their cube.
        is_loop: whether it ends where it began.
    """
    shares = (1 - np.cos(np.pi * np.arange(frames) / frames)) / 2
    between = _along_sphere if distribution == "normal" else _along_line
    ends = np.roll(stops, -1, axis=0) if is_loop else stops[1:]
    legs = [between(start, end, share) for start, end in zip(stops, ends, strict=False) for share in shares]
    return np.stack(legs if is_loop else [*legs, stops[-1]]).astype(np.float32)


def _along_line(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    return start + share * (end - start)


def _along_sphere(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    lengths = [np.linalg.norm(z, axis=-1, keepdims=True) for z in (start, end)]
    cosine = (start * end).sum(axis=-1, keepdims=True) / np.maximum(lengths[0] * lengths[1], 1e-12)
    angle = np.arccos(np.clip(cosine, -1, 1))
    sine = np.sin(angle)
    arc = (np.sin((1 - share) * angle) * start + np.sin(share * angle) * end) / np.maximum(sine, 1e-6)
    return np.where(sine < 1e-6, _along_line(start, end, share), arc)  # of the same direction the line is the arc
