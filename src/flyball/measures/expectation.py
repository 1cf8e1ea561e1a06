"""How far an expected quality may lie from the realised one: learned from where the expectation erred on the reference.

Rows of one day resemble each other, and so do the days of one season, so the spread of independent rows promises too much.
What a calibrated expectation missed on the reference, block by block and window by window, shows how much is to be allowed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from flyball.kernel.errors import InvalidInput
from flyball.measures.distributions import normal_quantile, student_t_quantile
from flyball.measures.intervals import side_confidence
from flyball.measures.samples import Floats

# Fewer windows, or blocks, say too little about how they vary: Student's t with 4 degrees of freedom is 2.8 at 95 %.
FEWEST_WINDOWS = 5
FEWEST_BLOCKS = 5
# A window of the reference that has less than this share of the usual rows says more about gaps than about quality.
LEAST_WINDOW_SHARE = 0.5


class SpreadSource(StrEnum):
    """What made the interval as wide as it is."""

    ROWS = "rows"
    """The draw of the rows, and the finitely many rows that the expectation was learned from."""
    BLOCKS = "blocks"
    """Blocks of the reference vary more than rows do, and resemble those before them."""
    WINDOWS = "windows"
    """Whole windows of the reference vary more than their blocks do: something changes slowly."""


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

    def windows(self, window_ms: int) -> Floats:
        """Return the mean miss a row of each window of the reference that has rows enough, shape (w,)."""
        places = ((self.starts_ms - self.starts_ms[0]) // max(window_ms, self.block_ms)).astype(np.int64)
        rows, misses = np.bincount(places, weights=self.rows), np.bincount(places, weights=self.misses)
        enough = rows >= LEAST_WINDOW_SHARE * float(np.median(rows[rows > 0]))
        found: Floats = misses[enough] / rows[enough]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far the realised figure may lie from the expected one, to either side, and what made it so."""

    half: float
    source: SpreadSource


def realised_spread(
    history: ErrorHistory, *, window_ms: int, blocks: int, row_variance: float, confidence: float
) -> Spread | None:
    """Return how far the realised mean of a window may lie from the expected one, while the concept holds.

    The widest of three prediction intervals: of independent rows; of blocks with the long-run variance of the reference's
    (Newey and West 1987, lag by their 1994 rule), which allows for blocks that resemble those before them; and of windows
    as long as this one, each missed by what it was missed by. The last two use Student's t, and allow for the error of
    the reference's own mean.

    Args:
        history: of the reference.
        window_ms: length of the window in question.
        blocks: how many blocks of it have rows.
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
    spread = long_run_variance(history.misses * known / history.rows.sum())
    halves[SpreadSource.BLOCKS] = student_t_quantile(side, known - 1) * math.sqrt(spread * (1 / blocks + 1 / known))
    windows = history.windows(window_ms)
    if len(windows) >= FEWEST_WINDOWS:
        deviation = math.sqrt(float(np.mean(np.square(windows))) * (1.0 + 1.0 / len(windows)))
        halves[SpreadSource.WINDOWS] = student_t_quantile(side, len(windows) - 1) * deviation
    source = max(halves, key=lambda one: halves[one])
    return Spread(half=halves[source], source=source)


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
