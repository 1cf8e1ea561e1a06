"""Intervals: Wilson against SciPy, bootstraps against SciPy's and by their error rate on simulated blocks."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from flyball.kernel.errors import InvalidInput
from flyball.measures.intervals import Interval, block_bootstrap, paired_block_bootstrap, side_confidence, wilson


@pytest.mark.parametrize(("hits", "rows"), [(0, 10), (3, 10), (10, 10), (81, 263), (500, 1000)])
def test_wilson_is_that_of_scipy(hits: int, rows: int) -> None:
    expected = scipy.stats.binomtest(hits, rows).proportion_ci(confidence_level=0.95, method="wilson")
    found = wilson(hits, rows, confidence=side_confidence(0.95))
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_matches_newcombes_published_example() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3, 81 of 263.
    found = wilson(81, 263, confidence=0.975)
    assert (round(found.lower, 4), round(found.upper, 4)) == (0.2553, 0.3662)


def test_no_trials_leave_everything_possible() -> None:
    assert wilson(0, 0, confidence=0.95) == Interval(estimate=0.5, lower=0.0, upper=1.0)


@pytest.mark.parametrize(("hits", "rows"), [(-1, 10), (11, 10)])
def test_wilson_refuses_impossible_counts(hits: int, rows: int) -> None:
    with pytest.raises(InvalidInput, match="impossible"):
        wilson(hits, rows, confidence=0.95)


def test_with_many_blocks_the_bounds_are_those_of_scipys_bootstrap() -> None:
    generator = np.random.default_rng(3)
    rows = generator.integers(40, 60, 200)
    hits = generator.binomial(rows, 0.8)

    def accuracy(indices: np.ndarray) -> float:
        return float(hits[indices].sum() / rows[indices].sum())

    expected = scipy.stats.bootstrap(
        (np.arange(200),),
        accuracy,
        confidence_level=0.9,
        method="percentile",
        n_resamples=4_000,
        vectorized=False,
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = block_bootstrap(hits, rows, confidence=0.95, resamples=4_000, seed=1)
    assert found.estimate == pytest.approx(hits.sum() / rows.sum())
    # Two sets of 4000 resamples agree to about a fiftieth of the interval's width of 0.013.
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high), abs=5e-4)


@pytest.mark.parametrize("blocks", [2, 3, 7, 30])
def test_equal_models_are_rarely_told_apart(blocks: int) -> None:
    generator = np.random.default_rng(blocks)
    wrong, trials = 0, 300
    for trial in range(trials):
        rows = generator.integers(20, 60, blocks)
        skill = generator.beta(20, 8, blocks)
        champion = generator.binomial(rows, skill)
        challenger = generator.binomial(rows, np.clip(skill + generator.normal(0, 0.05, blocks), 0, 1))
        found = paired_block_bootstrap(champion, challenger, rows, confidence=0.95, resamples=300, seed=trial)
        wrong += found.lower > 0
    # 5 % of 300 is 15; the chance of more than 27 at a true rate of 5 % is below 0.002, at 10 % half the runs would fail.
    assert wrong <= 27


def test_a_clear_improvement_is_seen() -> None:
    rows = np.full(10, 48)
    found = paired_block_bootstrap(rows * 0.7, rows * 0.8 + np.arange(10) % 3, rows, confidence=0.95, seed=1)
    assert found.lower > 0.05


def test_a_difference_that_is_hidden_by_hard_blocks_is_seen_in_pairs() -> None:
    rows = np.full(12, 100)
    champion = np.array([30, 90] * 6)
    found = paired_block_bootstrap(champion, champion + np.array([4, 6, 5] * 4), rows, confidence=0.95, seed=1)
    assert found.lower > 0.03


def test_equal_hits_have_no_difference_and_no_doubt() -> None:
    found = paired_block_bootstrap([5, 6, 7], [5, 6, 7], [10, 10, 10], confidence=0.95, seed=1)
    assert found == Interval(estimate=0.0, lower=0.0, upper=0.0)


def test_one_block_says_nothing_about_variation() -> None:
    assert paired_block_bootstrap([5], [9], [10], confidence=0.95, seed=1) == Interval(
        estimate=0.4, lower=-1.0, upper=1.0
    )
    assert block_bootstrap([9], [10], confidence=0.95, seed=1) == Interval(estimate=0.9, lower=0.0, upper=1.0)


def test_blocks_without_rows_do_not_count() -> None:
    full = paired_block_bootstrap([5, 6], [6, 8], [10, 10], confidence=0.9, seed=1)
    assert paired_block_bootstrap([5, 0, 6], [6, 0, 8], [10, 0, 10], confidence=0.9, seed=1) == full


def test_equal_seeds_give_equal_bounds() -> None:
    generator = np.random.default_rng(0)
    rows = np.full(30, 50)
    hits = generator.binomial(rows, 0.7)
    assert block_bootstrap(hits, rows, confidence=0.9, seed=1) == block_bootstrap(hits, rows, confidence=0.9, seed=1)
    assert block_bootstrap(hits, rows, confidence=0.9, seed=1) != block_bootstrap(hits, rows, confidence=0.9, seed=2)


def test_longer_blocks_widen_the_bounds_where_neighbours_resemble_each_other() -> None:
    rows = np.full(60, 100)
    hits = np.repeat([60, 80, 70, 90, 50, 75], 10)
    alone = block_bootstrap(hits, rows, confidence=0.95, seed=1)
    together = block_bootstrap(hits, rows, confidence=0.95, seed=1, block_length=10)
    assert together.upper - together.lower > 2 * (alone.upper - alone.lower)


def test_blocks_at_the_ends_are_drawn_as_often_as_those_between() -> None:
    rows, hits = np.full(20, 10), np.array([0] * 19 + [10])
    there = block_bootstrap(hits, rows, confidence=0.95, seed=1, block_length=4, resamples=4_000)
    back = block_bootstrap(hits[::-1], rows, confidence=0.95, seed=1, block_length=4, resamples=4_000)
    # A tenth of the upper bound of about 0.15: what two sets of 4000 resamples may differ by.
    assert there.upper == pytest.approx(back.upper, abs=0.015)


@pytest.mark.parametrize(
    ("champion", "challenger", "rows"),
    [
        ([1, 2], [1], [3, 3]),
        ([4, 1], [1, 1], [3, 3]),
        ([-1, 1], [1, 1], [3, 3]),
        ([float("nan"), 1], [1, 1], [3, 3]),
        ([1, 1], [1, 1], [float("nan"), 3]),
        ([0, 0], [0, 0], [0, 0]),
        ([], [], []),
    ],
)
def test_impossible_blocks_are_refused(champion: list[float], challenger: list[float], rows: list[float]) -> None:
    with pytest.raises(InvalidInput):
        paired_block_bootstrap(champion, challenger, rows, confidence=0.95, seed=1)


@pytest.mark.parametrize("confidence", [0.0, 1.0, float("nan")])
def test_an_impossible_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(InvalidInput, match="confidence"):
        block_bootstrap([1, 2], [3, 3], confidence=confidence, seed=1)


@pytest.mark.parametrize(("resamples", "block_length"), [(0, 1), (10, 0)])
def test_an_impossible_plan_is_refused(resamples: int, block_length: int) -> None:
    with pytest.raises(InvalidInput, match="start at 1"):
        block_bootstrap([1, 2], [3, 3], confidence=0.9, seed=1, resamples=resamples, block_length=block_length)
