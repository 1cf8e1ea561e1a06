"""Thresholds from a model's own past: ranks among null values, how many of them it takes, and how sure the rate then is.

A null value is what a stretch of history shows against the rest of it. Where a new one is exchangeable with them, it is the
largest of n + 1 with probability 1 / (n + 1), whatever the distribution (Vovk, Gammerman and Shafer 2005, "Algorithmic
learning in a random world"). Blocks of time keep dependence (Künsch 1989); how long it lasts is read from the series.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from flyball.kernel.errors import InvalidInput
from flyball.measures.distributions import beta_quantile, normal_quantile, require_probability
from flyball.measures.intervals import Interval
from flyball.measures.samples import Floats, finite_sample

# The rule of Politis and White (2004, section 3.2, footnote c): a correlation within 2 sqrt(log10(n) / n) is none, and five such
# in a row end the memory.
_BAND = 2.0
_QUIET_LAGS = 5
FEWEST_FOR_MEMORY = 20
_SPURIOUS = 0.005


def rank_p_values(null: ArrayLike, values: ArrayLike) -> Floats:
    """Return for each value the share of null values at least as large, the value itself counted among them: 1/(n+1) .. 1.

    Args:
        null: shape (n,), finite, n >= 1.
        values: shape (m,), finite.
    """
    known = np.sort(finite_sample(null, field="null"))
    at_least = len(known) - np.searchsorted(known, np.asarray(values, dtype=np.float64), side="left")
    ranks: Floats = np.asarray((1.0 + at_least) / (len(known) + 1.0), dtype=np.float64)
    return ranks


def rank_threshold(null: ArrayLike, chance: float) -> float:
    """Return what a value must exceed to have a rank p-value of at most `chance`.

    Raises:
        InvalidInput: the null values are too few to say (`fewest_for`), or `chance` lies outside (0, 1).
    """
    known = np.sort(finite_sample(null, field="null"))
    allowed = allowed_above(len(known), chance)
    if allowed < 1:
        raise InvalidInput(f"{len(known)} null values, {fewest_for(chance)} are needed", field="null")
    return float(known[-allowed])


def allowed_above(count: int, chance: float) -> int:
    """Return which of `count` null values, counted from the largest, is the threshold for `chance`; 0 where none is."""
    require_probability(chance, field="chance")
    # A chance written as a decimal may fall short of the whole number it means by one bit.
    return math.floor(chance * (count + 1) * (1.0 + 1e-12))


def fewest_for(chance: float) -> int:
    """Return how many null values it takes for a rank p-value of `chance`.

    >>> fewest_for(0.01)
    99
    """
    require_probability(chance, field="chance")
    return max(1, math.ceil(1.0 / chance * (1.0 - 1e-12)) - 1)


def realised_chance(count: int, chance: float, *, confidence: float) -> Interval:
    """Return how often the threshold of `rank_threshold` is exceeded: on average, and within bounds.

    With the j-th largest of n null values as the threshold, the chance beyond it is Beta(j, n + 1 - j) distributed over
    histories (Wilks 1941, "Determination of sample sizes for setting tolerance limits"), for independent null values.

    Raises:
        InvalidInput: too few null values.
    """
    allowed = allowed_above(count, chance)
    if allowed < 1:
        raise InvalidInput(f"{count} null values, {fewest_for(chance)} are needed", field="count")
    low, high = (beta_quantile(level, allowed, count + 1 - allowed) for level in (1.0 - confidence, confidence))
    return Interval(estimate=allowed / (count + 1), lower=low, upper=high)


def memory_of(series: ArrayLike) -> int:
    """Return over how many steps the values of a series depend on each other; 0 for independent ones.

    The largest, over the columns, of the lags after which the autocorrelation stays within the band of Politis and White
    (2004) for five lags, widened for the number of columns. At most a quarter of the series; a series of fewer than 20 values .

    Args:
        series: shape (n, d), finite; columns that do not vary remember nothing.
    """
    known = np.asarray(series, dtype=np.float64)
    count = known.shape[0]
    if count < FEWEST_FOR_MEMORY:
        return 0
    centred = known - known.mean(axis=0)
    variance = np.sum(centred**2, axis=0)
    varying = centred[:, variance > 0] / np.sqrt(variance[variance > 0])
    if not varying.size:
        return 0
    # Of many columns some correlation leaves the band by chance: one series in two hundred may, whatever their number.
    chance = _SPURIOUS / (_QUIET_LAGS * varying.shape[1])
    band = max(_BAND * math.sqrt(math.log10(count)), normal_quantile(1.0 - chance)) / math.sqrt(count)
    last = 0
    for lag in range(1, count // 4 + 1):
        if np.any(np.abs(np.sum(varying[lag:] * varying[:-lag], axis=0)) > band):
            last = lag
        elif lag - last == _QUIET_LAGS:
            break
    return last
