"""Euclidean distances between features, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK = 1 << 23  # distances in memory at a time: 64 MiB


def blocks(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield distances from rows of x to all of y: (slice of rows, float64 [rows, len(y)]), in order."""
    y = y.astype(np.float64)
    y_squares = np.square(y).sum(axis=1)
    rows = max(1, BLOCK // len(y))
    for start in range(0, len(x), rows):
        block = slice(start, start + rows)
        part = x[block].astype(np.float64)
        squares = np.square(part).sum(axis=1)[:, None] + y_squares - 2.0 * part @ y.T
        yield block, np.sqrt(np.maximum(squares, 0.0))


def nearest(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return for each row of x the index of its nearest row in y: int [len(x)]."""
    return np.concatenate([block.argmin(axis=1) for _, block in blocks(x, y)])


def neighbour_distances(x: np.ndarray, count: int) -> np.ndarray:
    """Return for each row of x the distances to its `count` nearest other rows: float64 [len(x), count], ascending."""
    distances = np.empty((len(x), count))
    for rows, block in blocks(x, x):
        own = np.arange(len(block))
        block[own, own + rows.start] = np.inf  # a row is not its own neighbour
        distances[rows] = np.sort(np.partition(block, count - 1, axis=1)[:, :count], axis=1)
    return distances
