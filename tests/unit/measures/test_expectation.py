"""How far an expected figure may lie from the realised one, held against what simulated days really do."""

from __future__ import annotations

import numpy as np
import pytest

from flyball.kernel.errors import InvalidInput
from flyball.measures.expectation import ErrorHistory, SpreadSource, realised_spread, window_variance

DAY = 86_400_000
ROWS = 48.0
WEEK = 7


def _history(misses: np.ndarray, days: np.ndarray) -> ErrorHistory:
    return ErrorHistory(
        starts_ms=days.astype(np.float64) * DAY, rows=np.full(len(days), ROWS), misses=misses * ROWS, block_ms=DAY
    )


def _days(generator: np.random.Generator, count: int, *, alike: float) -> np.ndarray:
    """Return misses of days, standard deviation 0.1, each resembling the one before (an autoregression of order one)."""
    shocks = generator.normal(0, 0.1 * np.sqrt(1 - alike**2), count)
    found = np.empty(count)
    found[0] = generator.normal(0, 0.1)
    for day in range(1, count):
        found[day] = alike * found[day - 1] + shocks[day]
    return found


def test_of_days_without_gaps_the_variance_is_the_sum_over_all_pairs_of_days_of_a_window() -> None:
    misses = _days(np.random.default_rng(1), 105, alike=0.5)
    each = [float(np.mean(misses[lag:] * misses[: len(misses) - lag])) for lag in range(WEEK)]
    by_pairs = sum(each[abs(first - second)] for first in range(WEEK) for second in range(WEEK)) / WEEK**2
    found = window_variance(_history(misses, np.arange(105)), blocks=WEEK)
    assert found.variance == pytest.approx(by_pairs)
    assert found.freedom == 14  # fifteen weeks, less one: fewer than the 22 that independent days would give


def test_between_days_that_are_not_known_covariances_lie_on_a_straight_line() -> None:
    misses, days = _days(np.random.default_rng(2), 365, alike=0.8), np.arange(0, 361, 5)
    held_out = misses[days]
    same, fifth, tenth = (float(np.mean(held_out[lag:] * held_out[: len(days) - lag])) for lag in range(3))
    line = np.interp(np.arange(WEEK), [0, 5, 10], [same, fifth, tenth])
    by_pairs = sum(line[abs(first - second)] for first in range(WEEK) for second in range(WEEK)) / WEEK**2
    assert window_variance(_history(held_out, days), blocks=WEEK).variance == pytest.approx(float(by_pairs))


def test_of_one_block_the_variance_is_that_of_blocks() -> None:
    misses = _days(np.random.default_rng(3), 30, alike=0.0)
    found = window_variance(_history(misses, np.arange(30)), blocks=1)
    assert found.variance == pytest.approx(float(np.mean(misses**2)))
    assert found.freedom == 29


@pytest.mark.parametrize(
    ("days", "alike"),
    [(np.arange(0, 361, 5), 0.0), (np.arange(0, 361, 5), 0.6), (np.arange(0, 361, 5), 0.8), (np.arange(182), 0.6)],
    ids=["every fifth day, independent", "every fifth day, alike", "every fifth day, much alike", "half a year"],
)
def test_a_week_lies_within_the_interval_as_often_as_it_says(days: np.ndarray, alike: float) -> None:
    generator = np.random.default_rng(4)
    trials, inside = 400, 0
    for _ in range(trials):
        misses = _days(generator, int(days[-1]) + 1 + WEEK, alike=alike)
        level = misses[days].mean()  # the expectation was calibrated on these days
        spread = realised_spread(_history(misses[days] - level, days), blocks=WEEK, row_variance=0.0, confidence=0.95)
        assert spread is not None
        inside += abs(misses[-WEEK:].mean() - level) <= spread.half
    assert inside >= 366  # 380 are 95 %; three standard deviations are 13, and the seed is fixed


def test_days_held_out_of_weeks_do_not_count_as_weeks() -> None:
    """A week of the reference has one day or two: it varies as days do, and a whole week does not."""
    misses, days = _days(np.random.default_rng(5), 365, alike=0.0), np.arange(0, 361, 5)
    spread = realised_spread(_history(misses[days], days), blocks=WEEK, row_variance=0.0, confidence=0.95)
    assert spread is not None
    assert spread.source is SpreadSource.WINDOWS
    thin = [misses[days[days // WEEK == week]].mean() for week in range(52)]
    assert spread.half < 0.95 * 2.0 * float(np.std(thin))


def test_few_days_are_too_few_to_say() -> None:
    misses, days = _days(np.random.default_rng(6), 30, alike=0.0), np.arange(30)
    assert realised_spread(_history(misses[:4], days[:4]), blocks=7, row_variance=0.1, confidence=0.95) is None
    short = realised_spread(_history(misses[:20], days[:20]), blocks=7, row_variance=0.0, confidence=0.95)
    assert short is not None
    assert short.source is SpreadSource.BLOCKS  # three weeks say nothing of how weeks vary
    with pytest.raises(InvalidInput, match="increase in time"):
        _history(misses[:3], np.array([0, 2, 1]))
