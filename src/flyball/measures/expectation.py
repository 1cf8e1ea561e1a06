"""How far an expected quality may lie from the realised one: learned from where the expectation erred on the reference.

Rows of one day resemble each other, and so do the days of one season, so the spread of independent rows promises too much.
What a calibrated expectation missed on the reference, block by block and lag by lag, shows how much is to be allowed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from flyball.kernel.errors import InvalidInput
from flyball.measures.distributions import normal_quantile, student_t_quantile
from flyball.measures.intervals import side_confidence
from flyball.measures.samples import Floats

# Fewer windows, or blocks, say too little about how they vary: Student's t with 4 degrees of freedom is 2.8 at 95 %.
FEWEST_WINDOWS = 5
FEWEST_BLOCKS = 5
# How alike blocks miss at a lag is known where this share of the blocks has another one at that lag.
LEAST_PAIRS = 0.5


class SpreadSource(StrEnum):
    """What made the interval as wide as it is."""

    ROWS = "rows"
    """The draw of the rows, and the finitely many rows that the expectation was learned from."""
    BLOCKS = "blocks"
    """Blocks of the reference vary more than rows do, and resemble those before them."""
    WINDOWS = "windows"
    """Blocks that lie as near to each other as those of one window miss alike: something changes slowly."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ErrorHistory:
    """What an expectation missed on the reference: in each block, in the order of time, the sum of realised - expected.

    All of shape (b,): `starts_ms` increase, `rows` are positive. The expectation of a block must not have seen it.
    """

    starts_ms: Floats
    rows: Floats
    misses: Floats
    block_ms: int

    def __post_init__(self) -> None:
        """Check that the parts fit.

        Raises:
            InvalidInput: they do not.
        """
        if not len(self.starts_ms) == len(self.rows) == len(self.misses):
            raise InvalidInput("a history of errors needs one start, number of rows and miss a block", field="history")
        if np.any(np.diff(self.starts_ms) <= 0) or np.any(self.rows <= 0) or not np.all(np.isfinite(self.misses)):
            raise InvalidInput("blocks increase in time, have rows, and finite misses", field="history")

    @property
    def span_ms(self) -> int:
        """The time from the first block to the end of the last: what varies more slowly than this, it does not know."""
        return int(self.starts_ms[-1] - self.starts_ms[0]) + self.block_ms if len(self.starts_ms) else 0

    @property
    def places(self) -> NDArray[np.int64]:
        """The number of each block, counted from the first; those between that have no rows are counted too, shape (b,)."""
        found: NDArray[np.int64] = ((self.starts_ms - self.starts_ms[0]) // self.block_ms).astype(np.int64)
        return found

    @property
    def each(self) -> Floats:
        """What each block missed, as a share of the rows that a block has on average, shape (b,)."""
        found: Floats = self.misses * len(self.rows) / self.rows.sum()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far the realised figure may lie from the expected one, to either side, and what made it so."""

    half: float
    source: SpreadSource


def realised_spread(history: ErrorHistory, *, blocks: int, row_variance: float, confidence: float) -> Spread | None:
    """Return how far the realised mean of a window may lie from the expected one, while the concept holds.

    The widest of three prediction intervals: of independent rows; of blocks with the long-run variance of the reference's
    (Newey and West 1987, lag by their 1994 rule), which allows for blocks that resemble those before them; and of a whole
    window of such blocks (`window_variance`), each missed by what it was missed by. The last two use Student's t, and allow
    for the error of the reference's own mean.

    Args:
        history: of the reference.
        blocks: how many blocks of the window in question have rows.
        row_variance: the variance of the window's mean, were its rows independent.
        confidence: of both bounds together.

    Returns:
        None when the reference has fewer than five blocks: nothing is known then of how blocks vary.
    """
    known = len(history.rows)
    if known < FEWEST_BLOCKS or blocks < 1:
        return None
    side = side_confidence(confidence)
    halves = {SpreadSource.ROWS: normal_quantile(side) * math.sqrt(row_variance)}
    spread = long_run_variance(history.each)
    halves[SpreadSource.BLOCKS] = student_t_quantile(side, known - 1) * math.sqrt(spread * (1 / blocks + 1 / known))
    window = window_variance(history, blocks=blocks)
    if window.freedom >= FEWEST_WINDOWS - 1:
        deviation = math.sqrt(max(window.variance, 0.0) + spread / known)
        halves[SpreadSource.WINDOWS] = student_t_quantile(side, window.freedom) * deviation
    source = max(halves, key=lambda one: halves[one])
    return Spread(half=halves[source], source=source)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowVariance:
    """The variance of a window's mean miss, and with how many degrees of freedom it is known."""

    variance: float
    freedom: float


def window_variance(history: ErrorHistory, *, blocks: int) -> WindowVariance:
    """Return the variance of the mean of so many blocks in a row about zero, from how alike the reference's blocks miss.

    It is the sum of the autocovariances of the blocks, each as often as a window has pairs of blocks so far apart. A reference
    that holds out every fifth day has no days beside each other: a lag that it has few pairs of is read off the straight line
    between the known ones next to it. Autocovariances that fall off ever more slowly, as exponential ones do, lie below that
    line, so the variance is then too large rather than too small. Beyond the last known lag they are taken to stay as they are.

    The degrees of freedom are those that the estimate has for independent blocks, by the mean and variance of a chi-square
    (Satterthwaite 1946); never more than the reference has windows, less one, whatever its blocks have in common.

    Args:
        history: of the reference.
        blocks: of a window, at least 1.
    """
    known = _covariances(history, range(2 * blocks))
    shares = _shares_of_lags(sorted(known), blocks)
    noise = 2.0 * shares[0] ** 2 / known[0].pairs + sum(shares[lag] ** 2 / known[lag].pairs for lag in shares if lag)
    windows = len(np.unique(history.places // blocks))
    return WindowVariance(
        variance=sum(share * known[lag].value for lag, share in shares.items()),
        freedom=min(2.0 * shares[0] ** 2 / noise, windows - 1.0),
    )


@dataclass(frozen=True, slots=True)
class _Covariance:
    value: float
    pairs: int


def _covariances(history: ErrorHistory, lags: range) -> dict[int, _Covariance]:
    """Return the mean product of misses by how many blocks lie between, for the lags that half of the blocks have."""
    places, misses = history.places, history.each
    found: dict[int, _Covariance] = {}
    for lag in lags:
        later = np.minimum(np.searchsorted(places, places + lag), len(places) - 1)
        paired = places[later] == places + lag
        pairs = int(paired.sum())
        if pairs >= LEAST_PAIRS * len(places):
            found[lag] = _Covariance(float(misses[paired] @ misses[later[paired]]) / pairs, pairs)
    return found


def _shares_of_lags(known: list[int], blocks: int) -> dict[int, float]:
    """Return how much of each known lag's covariance the variance of a mean of blocks is made of."""
    lags = np.arange(blocks)
    weights = np.where(lags == 0, 1.0, 2.0 * (1.0 - lags / blocks)) / blocks
    above = np.minimum(np.searchsorted(known, lags), len(known) - 1)
    below = np.where(np.take(known, above) > lags, above - 1, above)
    span = np.take(known, above) - np.take(known, below)
    towards = np.where(span > 0, (lags - np.take(known, below)) / np.maximum(span, 1), 0.0)
    shares = np.bincount(above, weights=weights * towards, minlength=len(known))
    shares += np.bincount(below, weights=weights * (1.0 - towards), minlength=len(known))
    return dict(zip(known, shares.tolist(), strict=True))


def long_run_variance(values: Floats) -> float:
    """Return the variance of a mean times its length, for values that resemble those before them (Newey and West 1987).

    Bartlett weights up to lag 4 (n / 100)^(2/9) (Newey and West 1994). Never below the variance of independent values.

    Args:
        values: shape (n,), n >= 2, in the order of time.
    """
    count, centred = len(values), values - values.mean()
    lags = min(int(4 * (count / 100) ** (2 / 9)), count - 1)
    variance = float(centred @ centred) / (count - 1)
    found = variance
    for lag in range(1, lags + 1):
        found += 2.0 * (1.0 - lag / (lags + 1)) * float(centred[lag:] @ centred[:-lag]) / (count - 1)
    return max(found, variance)
