"""Change found while values arrive one by one: CUSUM with a stated run length, Page-Hinkley, and adaptive windows.

Each detector is a small state that is fed with `update` and says at which value it fired. Feeding the same values gives the same
answer; a detector that fired begins anew. None keeps the values it saw. A value may come with a `mark`, such as its time; when a detector
fires, `since` is the mark of the first value of the change. All of a detector's state is in its fields, so it may be kept and go on later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from flyball.kernel.errors import InvalidInput

# States of the Markov chain that stands for a CUSUM; 100 give run lengths to three digits (Brook & Evans 1972 used up to 15).
STATES = 100
_SECANTS, _PRECISION = 30, 1e-9
_SMALLEST_LIMIT = 1e-6
_SQRT2 = math.sqrt(2.0)


@dataclass(slots=True, kw_only=True)
class Cusum:
    """Two-sided cumulative sums of standardised values (Page 1954): finds a lasting shift of a mean soonest.

    `allowance` is half the shift to be found, `limit` where it fires, both in standard deviations of the reference. With
    `limit = cusum_limit(run_length)` it cries wolf once in `run_length` values on independent normal ones, on average. The change
    is taken to begin after the sum was zero for the last time; `rose` says to which side it went.
    """

    mean: float
    deviation: float
    allowance: float = 0.5
    limit: float = 5.0
    upper: float = 0.0
    lower: float = 0.0
    upper_mark: int = 0
    lower_mark: int = 0
    since: int = 0
    rose: bool = False

    def __post_init__(self) -> None:
        """Refuse what could never fire, or always would."""
        _positive("deviation", self.deviation)
        _positive("limit", self.limit)
        if not self.allowance >= 0:
            raise InvalidInput(f"an allowance of {self.allowance} is negative", field="allowance")

    def update(self, value: float, mark: int = 0) -> bool:
        """Take a value; True when a shift was found, and then begin anew.

        Raises:
            InvalidInput: the value is not finite.
        """
        score = (_finite(value) - self.mean) / self.deviation
        if self.upper == 0.0:
            self.upper_mark = mark
        if self.lower == 0.0:
            self.lower_mark = mark
        self.upper = max(0.0, self.upper + score - self.allowance)
        self.lower = max(0.0, self.lower - score - self.allowance)
        if max(self.upper, self.lower) <= self.limit:
            return False
        self.rose = bool(self.upper > self.lower)
        self.since = self.upper_mark if self.rose else self.lower_mark
        self.upper = self.lower = 0.0
        return True


def cusum_run_length(limit: float, *, allowance: float = 0.5, shift: float = 0.0) -> float:
    """Return the average number of values until a two-sided CUSUM fires, the values being independent and normal.

    By the Markov chain of Brook and Evans (1972) for each side; the sides join as 1/L = 1/L_upper + 1/L_lower (van Dobben de
    Bruyn 1968), which is exact for a chart that begins at zero.

    Args:
        limit: where it fires, positive, in standard deviations.
        allowance: half the shift to be found, 0 or more.
        shift: how far the mean of the values lies from the reference, in standard deviations; 0 for no change.

    Raises:
        InvalidInput: a limit that is not positive, or a negative allowance.
    """
    _positive("limit", limit)
    if not allowance >= 0:
        raise InvalidInput(f"an allowance of {allowance} is negative", field="allowance")
    sides = [_one_sided_run_length(limit, drift=sign * shift - allowance) for sign in (1.0, -1.0)]
    return 1.0 / sum(1.0 / side for side in sides)


def cusum_limit(run_length: float, *, allowance: float = 0.5) -> float:
    """Return the limit at which a two-sided CUSUM cries wolf once in `run_length` values, on average.

    Raises:
        InvalidInput: a run length of 2 or less or one that the allowance alone exceeds, or a negative allowance.
    """
    if not run_length > 2:  # noqa: PLR2004 -- a chart that fires at every other value is none
        raise InvalidInput(f"a run length of {run_length} says nothing; ask for more than 2", field="run_length")
    if cusum_run_length(_SMALLEST_LIMIT, allowance=allowance) > run_length:
        raise InvalidInput(f"with an allowance of {allowance} it fires more seldom than that", field="run_length")
    wanted = math.log(run_length)
    # The logarithm of the run length is nearly a straight line over the limit, so that few secants find it.
    before, after = 0.5, 4.0
    known = math.log(cusum_run_length(before, allowance=allowance)) - wanted
    for _ in range(_SECANTS):
        found = math.log(cusum_run_length(after, allowance=allowance)) - wanted
        if abs(found) < _PRECISION:
            break
        slope = (found - known) / (after - before)
        before, after, known = after, max(after - found / slope, 0.5 * after), found
    return after


def _one_sided_run_length(limit: float, *, drift: float) -> float:
    """Return the run length of one side, whose steps are normal with mean `drift`, beginning at zero."""
    width = 2.0 * limit / (2 * STATES - 1)
    # From one state to at most another only the distance between the two counts.
    reach = np.array([_normal_below((apart + 0.5) * width - drift) for apart in range(1 - STATES, STATES)])
    states = np.arange(STATES)
    below = reach[states[None, :] - states[:, None] + STATES - 1]
    steps = np.diff(below, axis=1, prepend=0.0)  # the first state takes all that falls to zero
    return float(np.linalg.solve(np.eye(STATES) - steps, np.ones(STATES))[0])


def _normal_below(value: float) -> float:
    return 0.5 * math.erfc(-value / _SQRT2)


@dataclass(slots=True, kw_only=True)
class PageHinkley:
    """Find a lasting rise of a mean that is not known beforehand (Hinkley 1971; Gama et al. 2013, in "Machine Learning" 90).

    `tolerance` is the change that does not matter, `limit` where it fires, both in the unit of the values; it waits for
    `least` values first. The change is taken to begin after the sum was lowest. It has no stated rate of false alarms: where
    one is needed, use `Cusum` or a calibrated monitor.
    """

    limit: float
    tolerance: float = 0.005
    least: int = 30
    count: int = 0
    mean: float = 0.0
    total: float = 0.0
    lowest: float = 0.0
    lowest_mark: int = 0
    since: int = 0

    def __post_init__(self) -> None:
        """Refuse what could never fire, or always would."""
        _positive("limit", self.limit)

    def update(self, value: float, mark: int = 0) -> bool:
        """Take a value; True when a rise was found, and then begin anew.

        Raises:
            InvalidInput: the value is not finite.
        """
        if self.total <= self.lowest:
            self.lowest_mark = mark
        self.count += 1
        self.mean += (_finite(value) - self.mean) / self.count
        self.total += value - self.mean - self.tolerance
        self.lowest = min(self.lowest, self.total)
        if self.count < self.least or self.total - self.lowest <= self.limit:
            return False
        self.since = self.lowest_mark
        self.count, self.mean, self.total, self.lowest = 0, 0.0, 0.0, 0.0
        return True


@dataclass(slots=True)
class Bucket:
    """Some neighbouring values: how many, their sum, their squared deviations from their mean, and the mark of the first."""

    count: int
    total: float
    scatter: float
    mark: int = 0

    def joined(self, other: Bucket) -> Bucket:
        """Return both as one; `other` holds the newer values."""
        count = self.count + other.count
        apart = self.total / self.count - other.total / other.count
        scatter = self.scatter + other.scatter + apart * apart * self.count * other.count / count
        return Bucket(count, self.total + other.total, scatter, self.mark)


@dataclass(slots=True, kw_only=True)
class AdaptiveWindow:
    """ADWIN: a window that grows while the mean stays, and forgets its older part when it does not (Bifet & Gavaldà 2007).

    `confidence` bounds the chance of cutting a window whose mean did not change, for values in 0..1. Memory grows with the
    logarithm of the window: an exponential histogram with `buckets` buckets of each size. It looks for a cut every `every`
    values. The change is taken to begin at the cut whose sides differ most; `rose` says whether the newer mean is the higher one.
    """

    confidence: float = 0.002
    buckets: int = 5
    every: int = 32
    least: int = 5
    count: int = 0
    rows: list[list[Bucket]] = field(default_factory=list)
    seen: int = 0
    since: int = 0
    rose: bool = False

    def __post_init__(self) -> None:
        """Refuse a confidence that is none."""
        if not 0 < self.confidence < 1:
            raise InvalidInput(f"a confidence of {self.confidence} does not lie between 0 and 1", field="confidence")

    @property
    def mean(self) -> float:
        """The mean of the window, NaN when it is empty."""
        return sum(bucket.total for bucket in self._oldest_first()) / self.count if self.count else math.nan

    def update(self, value: float, mark: int = 0) -> bool:
        """Take a value in 0..1; True when the older part of the window was dropped.

        Raises:
            InvalidInput: the value lies outside 0..1.
        """
        if not 0.0 <= value <= 1.0:
            raise InvalidInput(f"the value {value} does not lie in 0..1", field="value")
        self._insert(Bucket(1, value, 0.0, mark))
        self.count += 1
        self.seen += 1
        return self.seen % self.every == 0 and self._shrink()

    def _insert(self, bucket: Bucket) -> None:
        for row in self.rows:
            row.append(bucket)
            if len(row) <= self.buckets:
                return
            bucket = row.pop(0).joined(row.pop(0))
        self.rows.append([bucket])

    def _oldest_first(self) -> list[Bucket]:
        return [bucket for row in reversed(self.rows) for bucket in row]

    def _shrink(self) -> bool:
        found = self._cut()
        if found is None:
            return False
        before, self.since = self.mean, found
        while self._cut() is not None:
            row = self.rows[-1]
            self.count -= row.pop(0).count
            if not row:
                self.rows.pop()
        self.rose = bool(self.mean > before)
        return True

    def _cut(self) -> int | None:
        """Return where the window parts into two whose means differ for sure (Theorem 3.1 with the variance), and most of all."""
        buckets = self._oldest_first()
        if len(buckets) < 2:  # noqa: PLR2004 -- one bucket cannot be cut
            return None
        whole = buckets[0]
        for bucket in buckets[1:]:
            whole = whole.joined(bucket)
        variance, log_term = whole.scatter / whole.count, math.log(2.0 * math.log(whole.count) / self.confidence)
        old_count, old_total = 0, 0.0
        most, mark = 1.0, None
        for bucket, following in pairwise(buckets):
            old_count, old_total = old_count + bucket.count, old_total + bucket.total
            new_count = whole.count - old_count
            if min(old_count, new_count) < self.least:
                continue
            apart = abs(old_total / old_count - (whole.total - old_total) / new_count)
            harmonic = 1.0 / old_count + 1.0 / new_count
            beyond = apart / (math.sqrt(2.0 * harmonic * variance * log_term) + 2.0 / 3.0 * harmonic * log_term)
            if beyond > most:
                most, mark = beyond, following.mark
        return mark


def _positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise InvalidInput(f"{name} must be a positive number, not {value}", field=name)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise InvalidInput(f"the value {value} is not finite; count missing values apart", field="value")
    return value
