"""Drift between two samples or two sets of counts: how far apart (effect), and how surely (p-value).

Everything here is exact for what it is given, but for the p-values, which are the usual large-sample ones. What is measured
against a stored profile instead of the reference's rows is in `reference.py`, with the error that this brings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from flyball.kernel.errors import InvalidInput
from flyball.measures.distributions import chi_square_tail, kolmogorov_tail
from flyball.measures.samples import Floats, counts_of, finite_sample

# Added to every bin before shares are taken, so that an empty bin gives a large number instead of an infinite one
# (Jeffreys' prior for a multinomial: Jeffreys 1946).
EMPTY_BIN_COUNT = 0.5
# Cells expected to hold fewer rows than this are pooled before a chi-square test (Cochran 1954).
COCHRAN_MINIMUM = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """A test statistic and the probability of one at least as large when nothing changed (0..1)."""

    __test__ = False  # not a test class, whatever its name says to pytest

    statistic: float
    p_value: float


def kolmogorov_smirnov(reference: ArrayLike, sample: ArrayLike) -> TestResult:
    """Compare two samples by the largest distance between their distribution functions.

    Args:
        reference: shape (n,), finite.
        sample: shape (m,), finite.

    Returns:
        The exact statistic D in 0..1, and the asymptotic p-value (see `ks_p_value`); with ties it is conservative.

    Raises:
        InvalidInput: NaN, an infinity, or an empty sample.
    """
    ours, theirs = finite_sample(reference, field="reference"), finite_sample(sample, field="sample")
    points = np.concatenate([ours, theirs])
    below_ours = np.searchsorted(np.sort(ours), points, side="right") / len(ours)
    below_theirs = np.searchsorted(np.sort(theirs), points, side="right") / len(theirs)
    distance = float(np.max(np.abs(below_ours - below_theirs)))
    return TestResult(statistic=distance, p_value=ks_p_value(distance, len(ours), len(theirs)))


def ks_p_value(distance: float, reference_count: int, sample_count: int) -> float:
    """Return P(D >= distance) when both samples come from one distribution, 0..1.

    The limit distribution with the small-sample correction of Stephens (1970), good to about 0.01 from n*m/(n+m) = 4 on.
    """
    size = math.sqrt(reference_count * sample_count / (reference_count + sample_count))
    return min(1.0, max(0.0, kolmogorov_tail((size + 0.12 + 0.11 / size) * distance)))


def normed_wasserstein(reference: ArrayLike, sample: ArrayLike) -> float:
    """Return the first Wasserstein distance in units of the reference's standard deviation, 0..infinity.

    For a pure shift this is Cohen's d, so 0.2 is small, 0.5 medium and 0.8 large (Cohen 1988).

    Args:
        reference: shape (n,), finite, not constant.
        sample: shape (m,), finite.

    Raises:
        InvalidInput: NaN, an infinity, an empty sample, or a constant reference, which has no unit to measure in.
    """
    ours, theirs = finite_sample(reference, field="reference"), finite_sample(sample, field="sample")
    return wasserstein(ours, theirs) / require_spread(float(ours.std()))


def wasserstein(reference: Floats, sample: Floats) -> float:
    """Return the area between two empirical distribution functions, in the unit of the values."""
    points = np.sort(np.concatenate([reference, sample]))
    ours = np.searchsorted(np.sort(reference), points[:-1], side="right") / len(reference)
    theirs = np.searchsorted(np.sort(sample), points[:-1], side="right") / len(sample)
    return float(np.sum(np.abs(ours - theirs) * np.diff(points)))


def require_spread(deviation: float) -> float:
    """Return the standard deviation, and refuse zero and NaN."""
    if not deviation > 0:
        raise InvalidInput(
            "the reference does not vary, so there is no unit to measure a distance in", field="reference"
        )
    return deviation


def population_stability(reference_counts: ArrayLike, sample_counts: ArrayLike) -> float:
    """Return the population stability index over bins or categories, 0..infinity.

    Below 0.1 is read as no change, above 0.25 as a major one (Siddiqi 2006, "Credit Risk Scorecards"). It grows with the
    number of bins and shrinks with the number of rows, so it needs a test beside it.

    Args:
        reference_counts: shape (k,), not negative.
        sample_counts: shape (k,), the same bins.

    Raises:
        InvalidInput: NaN, a negative count, different lengths, or nothing counted.
    """
    return _stability(*_pair(reference_counts, sample_counts))


def jensen_shannon(reference_counts: ArrayLike, sample_counts: ArrayLike) -> float:
    """Return the Jensen-Shannon distance over bins or categories, 0 (equal) to 1 (nothing in common).

    The square root of the divergence to base 2 (Lin 1991; Endres & Schindelin 2003 show that the root is a metric).
    Arguments and errors are those of `population_stability`; empty bins need no smoothing.
    """
    return _jensen_shannon(*_shares(reference_counts, sample_counts))


def hellinger(reference_counts: ArrayLike, sample_counts: ArrayLike) -> float:
    """Return the Hellinger distance over bins or categories, 0 (equal) to 1 (nothing in common).

    sqrt(1 - sum of sqrt(p * q)) (Hellinger 1909; Le Cam 1986). Arguments and errors are those of `population_stability`.
    """
    return _hellinger(*_shares(reference_counts, sample_counts))


def total_variation(reference_counts: ArrayLike, sample_counts: ArrayLike) -> float:
    """Return the total variation distance, 0..1: the share of rows that would have to change their bin.

    Arguments and errors are those of `population_stability`.
    """
    ours, theirs = _shares(reference_counts, sample_counts)
    return 0.5 * float(np.sum(np.abs(ours - theirs)))


def largest_change(reference_counts: ArrayLike, sample_counts: ArrayLike) -> float:
    """Return the L-infinity distance, 0..1: the largest change of one bin's share.

    Arguments and errors are those of `population_stability`.
    """
    ours, theirs = _shares(reference_counts, sample_counts)
    return float(np.max(np.abs(ours - theirs)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CountDistances:
    """All distances of two sets of counts, each that of the function of its name."""

    population_stability: float
    jensen_shannon: float
    hellinger: float
    total_variation: float
    largest_change: float


def count_distances(reference_counts: ArrayLike, sample_counts: ArrayLike) -> CountDistances:
    """Measure all distances of counts over bins or categories at once.

    Arguments and errors are those of `population_stability`.
    """
    counts = _pair(reference_counts, sample_counts)
    ours, theirs = (side / side.sum() for side in counts)
    apart = np.abs(ours - theirs)
    return CountDistances(
        population_stability=_stability(*counts),
        jensen_shannon=_jensen_shannon(ours, theirs),
        hellinger=_hellinger(ours, theirs),
        total_variation=0.5 * float(apart.sum()),
        largest_change=float(apart.max()),
    )


def chi_square(reference_counts: ArrayLike, sample_counts: ArrayLike) -> TestResult:
    """Test whether two sets of counts come from the same categories' shares (Pearson 1900, test of homogeneity).

    Categories whose expected count is below 5 in either row are pooled into one (Cochran 1954). When fewer than two
    remain there is nothing to test: statistic 0, p-value 1.

    Args:
        reference_counts: shape (k,), not negative.
        sample_counts: shape (k,), the same categories.

    Raises:
        InvalidInput: NaN, a negative count, different lengths, or nothing counted.
    """
    observed = _pool(np.vstack(_pair(reference_counts, sample_counts)))
    if observed.shape[1] < 2:  # noqa: PLR2004 -- one category cannot change its share
        return TestResult(statistic=0.0, p_value=1.0)
    expected = _expected(observed)
    statistic = float(np.sum((observed - expected) ** 2 / expected))
    return TestResult(statistic=statistic, p_value=chi_square_tail(statistic, observed.shape[1] - 1))


def _pool(observed: Floats) -> Floats:
    rare = np.min(_expected(observed), axis=0) < COCHRAN_MINIMUM
    if not np.any(rare):
        return observed
    pooled = observed[:, rare].sum(axis=1, keepdims=True)
    table = np.hstack([observed[:, ~rare], pooled])
    return table[:, table.sum(axis=0) > 0]


def _expected(observed: Floats) -> Floats:
    expected: Floats = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / observed.sum()
    return expected


def _relative_entropy(p: Floats, q: Floats) -> float:
    some = p > 0
    return float(np.sum(p[some] * np.log2(p[some] / q[some])))


def _stability(ours: Floats, theirs: Floats) -> float:
    ours, theirs = ours + EMPTY_BIN_COUNT, theirs + EMPTY_BIN_COUNT
    before, after = ours / ours.sum(), theirs / theirs.sum()
    return float(np.sum((after - before) * np.log(after / before)))


def _jensen_shannon(ours: Floats, theirs: Floats) -> float:
    middle = 0.5 * (ours + theirs)
    divergence = 0.5 * (_relative_entropy(ours, middle) + _relative_entropy(theirs, middle))
    return math.sqrt(min(1.0, max(0.0, divergence)))


def _hellinger(ours: Floats, theirs: Floats) -> float:
    return math.sqrt(max(0.0, 1.0 - float(np.sum(np.sqrt(ours * theirs)))))


def _shares(reference_counts: ArrayLike, sample_counts: ArrayLike) -> tuple[Floats, Floats]:
    ours, theirs = _pair(reference_counts, sample_counts)
    return ours / ours.sum(), theirs / theirs.sum()


def _pair(reference_counts: ArrayLike, sample_counts: ArrayLike) -> tuple[Floats, Floats]:
    ours = counts_of(reference_counts, field="reference_counts")
    theirs = counts_of(sample_counts, field="sample_counts")
    if len(ours) != len(theirs):
        raise InvalidInput(f"{len(ours)} bins against {len(theirs)}: not the same bins", field="sample_counts")
    return ours, theirs
