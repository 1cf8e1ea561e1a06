"""Drift of a sample against a stored profile: evenly spaced quantiles stand for the reference's rows.

A profile with 101 quantiles knows the reference's distribution function exactly at 101 points; between two of them it is
taken as a straight line, which is wrong by at most one step (0.01). A repeated quantile is a jump, so tied values keep
their weight to within one step at each side. Distances inherit that error; p-values are made safe against it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from flyball.kernel.errors import InvalidInput
from flyball.measures.drift import TestResult, ks_p_value, require_spread
from flyball.measures.samples import Floats, finite_sample

DECILES = 10


def ks_against_quantiles(quantiles: ArrayLike, reference_count: int, sample: ArrayLike) -> TestResult:
    """Compare a sample with a profile by the largest distance between their distribution functions.

    Args:
        quantiles: shape (q,), at evenly spaced levels from 0 to 1, not decreasing, finite; q >= 2.
        reference_count: rows the quantiles were taken from.
        sample: shape (m,), finite.

    Returns:
        The statistic in 0..1, off by at most one step 1/(q-1). The p-value is that of the statistic less one step, so
        the straight lines between quantiles can hide significance but never make it.

    Raises:
        InvalidInput: NaN, an infinity, an empty sample, or quantiles that decrease.
    """
    known, ours = _quantiles(quantiles), np.sort(finite_sample(sample, field="sample"))
    points, firsts, counts = np.unique(ours, return_index=True, return_counts=True)
    right = np.abs((firsts + counts) / len(ours) - _level(known, points, side="right"))
    left = np.abs(firsts / len(ours) - _level(known, points, side="left"))
    distance = float(max(right.max(), left.max()))
    sure = max(0.0, distance - 1.0 / (len(known) - 1))
    return TestResult(statistic=distance, p_value=ks_p_value(sure, reference_count, len(ours)))


def wasserstein_against_quantiles(quantiles: ArrayLike, deviation: float, sample: ArrayLike) -> float:
    """Return the first Wasserstein distance in units of the reference's standard deviation, 0..infinity.

    The area between the two quantile functions; exact for the straight lines that stand for the reference.

    Args:
        quantiles: shape (q,), at evenly spaced levels from 0 to 1, not decreasing, finite; q >= 2.
        deviation: standard deviation of the reference, positive.
        sample: shape (m,), finite.

    Raises:
        InvalidInput: NaN, an infinity, an empty sample, quantiles that decrease, or a reference that does not vary.
    """
    known, ours = _quantiles(quantiles), np.sort(finite_sample(sample, field="sample"))
    unit, count = require_spread(deviation), len(ours)
    levels = np.linspace(0.0, 1.0, len(known))
    cuts = np.union1d(levels, np.arange(count + 1) / count)
    widths, middles = np.diff(cuts), 0.5 * (cuts[1:] + cuts[:-1])
    theirs = ours[np.minimum((middles * count).astype(np.int64), count - 1)]
    heights = np.interp(cuts, levels, known)
    return float(np.sum(widths * _mean_distance(heights[:-1] - theirs, heights[1:] - theirs))) / unit


def decile_counts(quantiles: ArrayLike, reference_count: int, sample: ArrayLike) -> tuple[Floats, Floats]:
    """Count a profile and a sample in the bins between the profile's deciles, for measures over counts.

    Equal deciles make one bin, so tied values are never split. The first and the last bin are open.

    Args:
        quantiles: shape (q,), at evenly spaced levels from 0 to 1, not decreasing, finite; q >= 2.
        reference_count: rows the quantiles were taken from.
        sample: shape (m,), finite.

    Returns:
        (reference counts, sample counts), both of shape (k,), 1 <= k <= 10. The reference's are off by at most one
        step of the quantiles, that is by `reference_count / (q - 1)`; the sample's are exact.

    Raises:
        InvalidInput: NaN, an infinity, an empty sample, or quantiles that decrease.
    """
    known, ours = _quantiles(quantiles), finite_sample(sample, field="sample")
    inner = np.unique(np.interp(np.arange(1, DECILES) / DECILES, np.linspace(0, 1, len(known)), known))
    cumulative = np.concatenate([[0.0], _level(known, inner, side="right"), [1.0]])
    bins = np.searchsorted(inner, ours, side="left")
    counted = np.bincount(bins, minlength=len(inner) + 1).astype(np.float64)
    expected = np.diff(cumulative) * reference_count
    used = (expected > 0) | (counted > 0)
    return expected[used], counted[used]


def _mean_distance(start: Floats, end: Floats) -> Floats:
    """Return the mean of |y| along straight lines from `start` to `end`."""
    crossing = start * end < 0
    span = np.where(crossing, np.abs(start) + np.abs(end), 1.0)
    return np.where(crossing, (start**2 + end**2) / (2.0 * span), 0.5 * (np.abs(start) + np.abs(end)))


def _level(quantiles: Floats, points: Floats, *, side: str) -> Floats:
    """Return the reference's share at or below each point ("right"), or strictly below it ("left")."""
    last = len(quantiles) - 1
    index = np.searchsorted(quantiles, points, side="right" if side == "right" else "left")
    inside = np.clip(index, 1, last)
    low, high = quantiles[inside - 1], quantiles[inside]
    gap = np.where(high > low, high - low, 1.0)
    level = (inside - 1 + np.clip((points - low) / gap, 0.0, 1.0)) / last
    return np.where(index == 0, 0.0, np.where(index > last, 1.0, level))


def _quantiles(values: ArrayLike) -> Floats:
    known = finite_sample(values, field="quantiles")
    if len(known) < 2 or np.any(np.diff(known) < 0):  # noqa: PLR2004 -- a minimum and a maximum at least
        raise InvalidInput("quantiles need a minimum and a maximum and may not decrease", field="quantiles")
    return known
