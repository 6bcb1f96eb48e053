"""Sliced Wasserstein distance between the patches of two sets of images, level by level of a Laplacian pyramid.

Karras et al. 2018, "Progressive Growing of GANs", section 5 and appendix; the constants are those of its
sliced_wasserstein.py. A distance at 64 is one of fine texture, at 16 one of the large forms. It needs no network.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

PATCH = 7
PATCHES_PER_IMAGE = 128
# Of a level: those of 1,500 images. More images give fewer each, as sorting takes nearly all of the time.
MAX_PATCHES = 192_000
DIRECTIONS = 512
SMALLEST_SIDE = 16
SCALE = 1e3  # distances are reported times this, as in the paper

_BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16
_PROJECTIONS_AT_ONCE = 1 << 24  # 64 MiB: 87 directions of 192,000 patches
_IMAGES_AT_ONCE = 256


def distances(real: np.ndarray, fake: np.ndarray) -> dict[int, float]:
    """Return the distance on each level of the pyramid, by the level's side in pixels, times 1e3.

    Both are uint8 [count, side, side, channels], of one count: sorted projections are compared one to one. Patches are
    cut at the same places, and compared along the same directions, every time.
    """
    if real.shape != fake.shape:
        raise ValueError(f"As many fake as real images are needed, of one shape: {fake.shape} and {real.shape}")
    by_level = zip(patches(real).items(), patches(fake).values(), strict=True)
    return {side: _distance(real_patches, fake_patches) for (side, real_patches), fake_patches in by_level}


def sides(side: int) -> list[int]:
    """The sides of the pyramid's levels, from the images' own down to 16."""
    levels = [side]
    while levels[-1] // 2 >= SMALLEST_SIDE:
        levels.append(levels[-1] // 2)
    return levels


def patches(images: np.ndarray) -> dict[int, np.ndarray]:
    """Normalised patches by level: float32 [at most count * 128, 7 * 7 * channels].

    Each channel of a level's patches has mean 0 and deviation 1 over the whole set.
    """
    rng = np.random.default_rng(0)
    count, channels = len(images), images.shape[-1]
    per_image = min(PATCHES_PER_IMAGE, max(1, MAX_PATCHES // count))
    places = {side: rng.integers(0, side - PATCH + 1, (2, count, per_image)) for side in sides(images.shape[1])}
    cut = {side: np.empty((count, per_image, channels, PATCH, PATCH), np.float32) for side in sides(images.shape[1])}
    for start in range(0, count, _IMAGES_AT_ONCE):
        part = slice(start, start + _IMAGES_AT_ONCE)
        for level in laplacian_pyramid(images[part].astype(np.float32)):
            side = level.shape[1]
            windows = np.lib.stride_tricks.sliding_window_view(level, (PATCH, PATCH), axis=(1, 2))
            rows, columns = places[side][:, part]
            cut[side][part] = windows[np.arange(len(level))[:, None], rows, columns]
    return {side: _normalise(level) for side, level in cut.items()}


def laplacian_pyramid(images: np.ndarray) -> list[np.ndarray]:
    """What each halving of the side loses, finest first, and last the smallest images: float32 [count, side, ...]."""
    levels = [images]
    for _ in sides(images.shape[1])[1:]:
        levels.append(_blur(levels[-1])[:, ::2, ::2])
    return [finer - _doubled(coarser) for finer, coarser in pairwise(levels)] + levels[-1:]


def _blur(images: np.ndarray) -> np.ndarray:
    from scipy.ndimage import correlate1d  # not on top, since training starts without it

    return correlate1d(correlate1d(images, _BINOMIAL, axis=1, mode="mirror"), _BINOMIAL, axis=2, mode="mirror")


def _doubled(images: np.ndarray) -> np.ndarray:
    count, height, width, channels = images.shape
    spread = np.zeros((count, 2 * height, 2 * width, channels), np.float32)
    spread[:, ::2, ::2] = images
    return 4 * _blur(spread)


def _normalise(cut: np.ndarray) -> np.ndarray:
    mean = cut.mean(axis=(0, 1, 3, 4), keepdims=True, dtype=np.float64).astype(np.float32)
    cut -= mean
    variance = np.square(cut).mean(axis=(0, 1, 3, 4), keepdims=True, dtype=np.float64)
    # A set of plain grey images has no deviation to divide by; the epsilon keeps it at 0.
    cut /= np.sqrt(variance + 1e-12).astype(np.float32)
    return cut.reshape(cut.shape[0] * cut.shape[1], -1)


def _distance(real: np.ndarray, fake: np.ndarray) -> float:
    directions = np.random.default_rng((0, real.shape[1])).normal(size=(DIRECTIONS, real.shape[1]))
    directions = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)
    parts = [
        # Sorted, because between two sets of as many numbers the cheapest transport joins them in order.
        np.abs(_sorted_rows(part @ real.T) - _sorted_rows(part @ fake.T)).mean(axis=1)
        for part in np.array_split(directions, -(-len(directions) * len(real) // _PROJECTIONS_AT_ONCE))
    ]
    return SCALE * float(np.concatenate(parts).mean(dtype=np.float64))


def _sorted_rows(values: np.ndarray) -> np.ndarray:
    with ThreadPoolExecutor() as threads:  # NumPy sorts without the interpreter's lock
        list(threads.map(np.ndarray.sort, np.array_split(values, 8)))
    return values
