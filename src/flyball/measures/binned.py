"""Effects between many pairs of distributions at once, over shared bins: a thousand windows cost one pass over matrices.

The same numbers as in `drift.py`, row by row. For numbers the bins lie between cut points, and what lies beyond the outermost
is given by its mean distance from them, so that a distance is not cut off where the reference ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from flyball.measures.drift import EMPTY_BIN_COUNT
from flyball.measures.samples import Floats


def wasserstein_rows(ours: Floats, theirs: Floats, *, cuts: Floats, beyond: ArrayLike = 0.0) -> Floats:
    """Return the first Wasserstein distance of each pair, in the unit of the cut points.

    Args:
        ours: shares of the reference, shape (n, k + 1), rows sum to 1: bin 0 is at or below the first cut, bin k above the last.
        theirs: shares of the sample, the same shape.
        cuts: shape (k,), increasing; the reference lies within them.
        beyond: shape (n,) or a number: by how far the sample's values lie outside the cuts, on average over all its values.

    Returns:
        Shape (n,). Between two cuts both distribution functions are taken as straight lines.
    """
    gap = np.cumsum(theirs[:, :-1] - ours[:, :-1], axis=1)
    return _mean_height(gap[:, :-1], gap[:, 1:]) @ np.diff(cuts) + np.asarray(beyond, dtype=np.float64)


def jensen_shannon_rows(ours: Floats, theirs: Floats) -> Floats:
    """Return the Jensen-Shannon distance (base 2, 0..1) of each pair of rows of shares, shape (n,); see `jensen_shannon`."""
    middle = 0.5 * (ours + theirs)
    divergence = 0.5 * (_relative_entropy(ours, middle) + _relative_entropy(theirs, middle))
    return np.sqrt(np.clip(divergence, 0.0, 1.0))


def stability_rows(ours: Floats, theirs: Floats, *, rows: ArrayLike) -> Floats:
    """Return the population stability index of each pair of rows of shares, shape (n,); see `population_stability`.

    Args:
        ours: shares of the reference, shape (n, k).
        theirs: shares of the sample, shape (n, k).
        rows: how many rows each sample has, shape (n,) or a number: both sides are smoothed as counts out of that many.
    """
    size = np.asarray(rows, dtype=np.float64).reshape(-1, 1)
    smooth = size + EMPTY_BIN_COUNT * ours.shape[1]
    before, after = ((one * size + EMPTY_BIN_COUNT) / smooth for one in (ours, theirs))
    index: Floats = np.sum((after - before) * np.log(after / before), axis=1)
    return index


def _mean_height(start: Floats, end: Floats) -> Floats:
    """Return the mean of |y| along straight lines from `start` to `end`."""
    size = np.abs(start) + np.abs(end)
    crossing = start * end < 0
    return np.where(crossing, (start**2 + end**2) / np.where(crossing, 2.0 * size, 1.0), 0.5 * size)


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    some = p > 0
    ratio = np.where(some, p, 1.0) / np.where(some, q, 1.0)
    total: Floats = np.sum(p * np.log2(ratio), axis=1)
    return total
