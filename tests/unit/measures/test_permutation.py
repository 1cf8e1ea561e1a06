"""Thresholds from ranks, and how sure they are, beside SciPy and beside what happens."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from flyball.kernel.errors import InvalidInput
from flyball.measures.distributions import beta_cdf, beta_quantile
from flyball.measures.permutation import (
    allowed_above,
    fewest_for,
    memory_of,
    rank_p_values,
    rank_threshold,
    realised_chance,
)


def test_a_value_counts_itself_among_the_null_values() -> None:
    assert rank_p_values([1.0, 2.0, 3.0], [0.0, 2.0, 9.0]).tolist() == [1.0, 0.75, 0.25]


def test_what_exceeds_the_threshold_is_what_has_a_small_p_value() -> None:
    null = np.random.default_rng(3).normal(size=199)
    limit = rank_threshold(null, 0.05)
    values = np.random.default_rng(4).normal(size=500)
    assert ((values > limit) == (rank_p_values(null, values) <= 0.05)).all()


def test_a_threshold_is_exceeded_as_often_as_it_says_whatever_the_distribution() -> None:
    generator = np.random.default_rng(5)
    beyond = [generator.exponential() > rank_threshold(generator.exponential(size=99), 0.05) for _ in range(4_000)]
    # 95 % of binomial counts of 4,000 at 0.05 lie within 173..228.
    assert 173 <= sum(beyond) <= 228


@pytest.mark.parametrize(("chance", "needed"), [(0.5, 1), (0.1, 9), (0.01, 99), (1 / 90, 89), (1 / 3, 2)])
def test_so_many_null_values_are_needed_and_one_less_says_nothing(chance: float, needed: int) -> None:
    assert fewest_for(chance) == needed
    assert allowed_above(needed, chance) >= 1
    assert allowed_above(needed - 1, chance) == 0


def test_too_few_null_values_are_an_error_that_says_how_many_it_takes() -> None:
    with pytest.raises(InvalidInput, match="5 null values, 9 are needed"):
        rank_threshold(np.arange(5.0), 0.1)


def test_the_bounds_of_the_chance_are_those_of_scipy() -> None:
    found = realised_chance(200, 0.02, confidence=0.95)
    law = stats.beta(4, 197)
    assert (found.estimate, found.lower, found.upper) == pytest.approx((law.mean(), law.ppf(0.05), law.ppf(0.95)))


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (4.0, 197.0), (0.5, 3.0)])
def test_the_beta_distribution_is_scipys(a: float, b: float) -> None:
    law = stats.beta(a, b)
    assert [beta_cdf(x, a, b) for x in (0.01, 0.3, 0.9)] == pytest.approx(law.cdf([0.01, 0.3, 0.9]).tolist())
    assert [beta_quantile(p, a, b) for p in (0.05, 0.5, 0.99)] == pytest.approx(law.ppf([0.05, 0.5, 0.99]).tolist())


def test_independent_values_remember_nothing() -> None:
    noise = np.random.default_rng(6).normal(size=(400, 5))
    assert memory_of(noise) == 0


def test_values_remember_as_long_as_they_were_made_to() -> None:
    noise = np.random.default_rng(7).normal(size=1_000)
    moving = np.convolve(noise, np.ones(4), mode="valid")  # depends on the three before, and on nothing else
    assert memory_of(moving[:, None]) == 3


def test_what_does_not_vary_or_is_short_remembers_nothing() -> None:
    assert memory_of(np.ones((100, 2))) == 0
    assert memory_of(np.arange(19.0)[:, None]) == 0


def test_the_memory_of_a_trend_is_bounded() -> None:
    assert memory_of(np.arange(200.0)[:, None]) == 50
