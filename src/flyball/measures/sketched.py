"""Drift between two sketches: the measures of `drift.py` without the rows, exact as long as the sketches are.

Beyond `EXACT_POINTS` values the distances look at evenly spaced ranks instead of at every value; by how much that can be
wrong is said at each function, and for the Kolmogorov-Smirnov test it can hide significance but never make it.
"""

from __future__ import annotations

import math

import numpy as np

from flyball.measures.distributions import anderson_darling_tail
from flyball.measures.drift import TestResult, ks_p_value, require_spread
from flyball.measures.samples import Floats
from flyball.measures.sketch import Sketch, in_cache

# Up to here every value is looked at: a few milliseconds.
EXACT_POINTS = 1 << 16
# Beyond: ranks a distribution is read at, for distances in the values' unit, and for those between distribution functions.
LEVELS = 1 << 16
KNOTS = 1 << 12
BINS = 10


def ks_of(reference: Sketch, sample: Sketch) -> TestResult:
    """Compare two sketches by the largest distance between their distribution functions, 0..1.

    With more than 65,536 points the functions are compared at 4,096 ranks of each, which finds a distance at most 1/4,096
    below the true one; compressed sketches add their rank errors. The p-value is of what is certain.
    """
    apart = _gap(reference, sample, _knots(reference, sample))
    distance = float(np.max(np.abs(apart)))
    doubt = reference.rank_error / reference.count + sample.rank_error / sample.count
    sure = max(0.0, distance - doubt)
    return TestResult(statistic=distance, p_value=ks_p_value(sure, reference.count, sample.count))


def wasserstein_of(reference: Sketch, sample: Sketch) -> float:
    """Return the first Wasserstein distance in the unit of the values.

    Exact for exact sketches of equal size, and for any with up to 65,536 points together; beyond, both are read at 65,536
    levels, which is off by at most 1/65,536 of the two ranges together.
    """
    if reference.weights is None and sample.weights is None and reference.count == sample.count:
        pairs = zip(in_cache(reference.points), in_cache(sample.points), strict=True)
        return sum(float(np.abs(one - two).sum()) for one, two in pairs) / reference.count
    if len(reference.points) + len(sample.points) <= EXACT_POINTS:
        points = np.sort(np.concatenate([reference.points, sample.points]))
        return float(np.sum(np.abs(_gap(reference, sample, points[:-1])) * np.diff(points)))
    middles = (np.arange(LEVELS) + 0.5) / LEVELS
    return float(np.mean(np.abs(reference.at_levels(middles) - sample.at_levels(middles))))


def normed_wasserstein_of(reference: Sketch, sample: Sketch) -> float:
    """Return the first Wasserstein distance in standard deviations of the reference; for a shift this is Cohen's d.

    Raises:
        InvalidInput: a constant reference, which has no unit to measure in.
    """
    return wasserstein_of(reference, sample) / require_spread(reference.deviation)


def energy_of(reference: Sketch, sample: Sketch) -> float:
    """Return the energy distance, in the square root of the values' unit: sqrt(2 * integral of (F - G)^2).

    Székely (2002), in one dimension; the square root makes it a metric, as in `scipy.stats.energy_distance`. Exact up to
    65,536 points together, beyond at 4,096 ranks of each.
    """
    points = np.sort(_knots(reference, sample))
    squares = np.square(_gap(reference, sample, points[:-1]))
    return math.sqrt(2.0 * float(np.sum(squares * np.diff(points))))


def anderson_darling_of(reference: Sketch, sample: Sketch) -> TestResult:
    """Compare two sketches by the squared distance of their distribution functions, weighted so that tails count as much.

    The statistic for ties of Scholz and Stephens (1987, equation 7) for two samples; the p-value is that of its limit, at least
    about 1e-7. With more than 65,536 points the values between two of 4,096 ranks of each count as tied, which makes it
    smaller.
    """
    points = np.unique(_knots(reference, sample))
    below = [np.concatenate([[0], one.cumulative(points)]).astype(np.float64) for one in (reference, sample)]
    here = [np.diff(one) for one in below]
    total = float(reference.count + sample.count)
    tied = here[0] + here[1]
    middle = below[0][1:] + below[1][1:] - 0.5 * tied
    weight = tied / total / (middle * (total - middle) - 0.25 * total * tied)
    statistic = 0.0
    for count, under, at in zip((reference.count, sample.count), below, here, strict=True):
        apart = total * (under[1:] - 0.5 * at) - count * middle
        statistic += float(np.sum(weight * np.square(apart))) / count
    statistic *= (total - 1.0) / total
    return TestResult(statistic=statistic, p_value=anderson_darling_tail(statistic))


def bin_counts(reference: Sketch, sample: Sketch, *, bins: int = BINS) -> tuple[Floats, Floats]:
    """Count both in bins of equal shares of the reference, for measures over counts; equal edges make one bin.

    Returns:
        (reference counts, sample counts), both of shape (k,), 1 <= k <= bins; bins empty in both are left out.
    """
    edges = np.unique(reference.at_levels(np.arange(1, bins) / bins))
    ours, theirs = (_between(one, edges) for one in (reference, sample))
    used = (ours > 0) | (theirs > 0)
    return ours[used], theirs[used]


def _between(sketch: Sketch, edges: Floats) -> Floats:
    below = np.concatenate([[0], sketch.cumulative(edges), [sketch.count]])
    return np.diff(below).astype(np.float64)


def _gap(reference: Sketch, sample: Sketch, points: Floats) -> Floats:
    gap: Floats = reference.cumulative(points) / reference.count - sample.cumulative(points) / sample.count
    return gap


def _knots(reference: Sketch, sample: Sketch) -> Floats:
    """Return where the two functions are compared: at every point, or at evenly spaced ranks with both ends."""
    if len(reference.points) + len(sample.points) <= EXACT_POINTS:
        return np.concatenate([reference.points, sample.points])
    levels = np.arange(KNOTS + 1) / KNOTS
    return np.concatenate([one.at_levels(levels) for one in (reference, sample)])
