"""Drift between two sketches: the measures of `drift.py` without the rows, exact as long as the sketches are.

Beyond `EXACT_POINTS` values the distances look at evenly spaced ranks instead of at every value; by how much that can be
wrong is said at each function, and for the Kolmogorov-Smirnov test it can hide significance but never make it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from flyball.measures.distributions import anderson_darling_tail
from flyball.measures.drift import TestResult, ks_p_value, require_spread
from flyball.measures.samples import Counts, Floats, in_cache
from flyball.measures.sketch import Sketch

# Up to here every value is looked at: a few milliseconds.
EXACT_POINTS = 1 << 16
# Beyond: ranks a distribution is read at, for distances in the values' unit, and for those between distribution functions.
LEVELS = 1 << 16
KNOTS = 1 << 12
BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Distances:
    """All distances of two sketches; `wasserstein` in the unit of the values, `energy` in its square root."""

    kolmogorov_smirnov: TestResult
    wasserstein: float
    energy: float
    anderson_darling: TestResult


def distances_of(reference: Sketch, sample: Sketch) -> Distances:
    """Measure all distances at once, for little more than one of them costs: each is that of the function of its name."""
    steps = _steps(reference, sample)
    return Distances(
        kolmogorov_smirnov=_ks(steps, reference, sample),
        wasserstein=_wasserstein(steps, reference, sample),
        energy=_energy(steps),
        anderson_darling=_anderson_darling(steps),
    )


def ks_of(reference: Sketch, sample: Sketch) -> TestResult:
    """Compare two sketches by the largest distance between their distribution functions, 0..1.

    With more than 65,536 points the functions are compared at 4,096 ranks of each, which finds a distance at most 1/4,096
    below the true one; compressed sketches add their rank errors. The p-value is of what is certain.
    """
    return _ks(_steps(reference, sample), reference, sample)


def wasserstein_of(reference: Sketch, sample: Sketch) -> float:
    """Return the first Wasserstein distance in the unit of the values.

    Exact for exact sketches of equal size, and for any with up to 65,536 points together; beyond, both are read at 65,536
    levels, which is off by at most 1/65,536 of the two ranges together.
    """
    return _wasserstein(_steps(reference, sample), reference, sample)


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
    return _energy(_steps(reference, sample))


def anderson_darling_of(reference: Sketch, sample: Sketch) -> TestResult:
    """Compare two sketches by the squared distance of their distribution functions, weighted so that tails count as much.

    The statistic for ties of Scholz and Stephens (1987, equation 7) for two samples; the p-value is that of its limit, at least
    about 1e-7. With more than 65,536 points the values between two of 4,096 ranks of each count as tied, which makes it
    smaller.
    """
    return _anderson_darling(_steps(reference, sample))


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Steps:
    """Where two distribution functions are compared: `points` (k,) rise, and so many rows of either, (k,), lie at or below each.

    `gap` (k,) is by how much the reference's function is above the sample's.
    """

    points: Floats
    ours: Counts
    theirs: Counts
    gap: Floats


def _steps(reference: Sketch, sample: Sketch) -> _Steps:
    """Return every point of both, or evenly spaced ranks of each with both ends."""
    if _few(reference, sample):
        points, ours, theirs = _merged(reference, sample)
    else:
        levels = np.arange(KNOTS + 1) / KNOTS
        points = np.unique(np.concatenate([one.at_levels(levels) for one in (reference, sample)]))
        ours, theirs = reference.cumulative(points), sample.cumulative(points)
    return _Steps(points=points, ours=ours, theirs=theirs, gap=ours / reference.count - theirs / sample.count)


def _few(reference: Sketch, sample: Sketch) -> bool:
    return len(reference.points) + len(sample.points) <= EXACT_POINTS


def _merged(reference: Sketch, sample: Sketch) -> tuple[Floats, Counts, Counts]:
    points = np.concatenate([reference.points, sample.points])
    order = np.argsort(points, kind="stable")  # merges two runs that are sorted already
    points = points[order]
    last = np.append(np.flatnonzero(points[1:] != points[:-1]), len(points) - 1)
    ours = np.cumsum(order < len(reference.points))[last]
    return points[last], reference.rows_of(ours), sample.rows_of(last + 1 - ours)


def _ks(steps: _Steps, reference: Sketch, sample: Sketch) -> TestResult:
    distance = float(np.abs(steps.gap).max())
    doubt = reference.rank_error / reference.count + sample.rank_error / sample.count
    sure = max(0.0, distance - doubt)
    return TestResult(statistic=distance, p_value=ks_p_value(sure, reference.count, sample.count))


def _wasserstein(steps: _Steps, reference: Sketch, sample: Sketch) -> float:
    if _few(reference, sample):
        return float(np.sum(np.abs(steps.gap[:-1]) * np.diff(steps.points)))
    if reference.weights is None and sample.weights is None and reference.count == sample.count:
        pairs = zip(in_cache(reference.points), in_cache(sample.points), strict=True)
        return sum(float(np.abs(one - two).sum()) for one, two in pairs) / reference.count
    middles = (np.arange(LEVELS) + 0.5) / LEVELS
    return float(np.mean(np.abs(reference.at_levels(middles) - sample.at_levels(middles))))


def _energy(steps: _Steps) -> float:
    return math.sqrt(2.0 * float(np.sum(np.square(steps.gap[:-1]) * np.diff(steps.points))))


def _anderson_darling(steps: _Steps) -> TestResult:
    below = [steps.ours.astype(np.float64), steps.theirs.astype(np.float64)]
    here = [np.diff(one, prepend=0.0) for one in below]
    counts = [float(one[-1]) for one in below]
    total = counts[0] + counts[1]
    tied = here[0] + here[1]
    middle = below[0] + below[1] - 0.5 * tied
    weight = tied / total / (middle * (total - middle) - 0.25 * total * tied)
    statistic = 0.0
    for count, under, at in zip(counts, below, here, strict=True):
        apart = total * (under - 0.5 * at) - count * middle
        statistic += float(np.sum(weight * np.square(apart))) / count
    statistic *= (total - 1.0) / total
    return TestResult(statistic=statistic, p_value=anderson_darling_tail(statistic))
