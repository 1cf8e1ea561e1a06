"""The always-valid comparison: exact against a second source, and honest under continuous peeking."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from flyball.kernel.errors import InvalidInput
from flyball.measures.sequential import Tally, compare_means, evidence_against

ALPHA = 0.1
PATHS = 250
ROWS = 300
# A procedure with a false-stop rate of exactly ALPHA exceeds this count in one of a thousand runs; seeds are fixed, so the
# tests do not flicker, and a procedure that spends its alpha again at each look lands far above.
MOST_FALSE_STOPS = int(stats.binom.ppf(0.999, PATHS, ALPHA))


def tally(outcomes: np.ndarray) -> Tally:
    return Tally(total=float(outcomes.sum()), count=len(outcomes))


def ever_excluded(arm: np.ndarray, other: np.ndarray, *, difference: float) -> bool:
    arm_totals, other_totals = np.cumsum(arm), np.cumsum(other)
    return any(
        evidence_against(
            difference,
            arm=Tally(total=float(arm_totals[i]), count=i + 1),
            other=Tally(total=float(other_totals[i]), count=i + 1),
        )
        >= -math.log(ALPHA)
        for i in range(ROWS)
    )


@pytest.mark.parametrize(("p_arm", "p_other"), [(0.5, 0.5), (0.8, 0.85), (0.99, 0.99)])
def test_looking_after_every_row_stops_wrongly_no_more_often_than_alpha(p_arm: float, p_other: float) -> None:
    rng = np.random.default_rng(20_240_101)
    stops = sum(
        ever_excluded(
            (rng.random(ROWS) < p_arm).astype(float),
            (rng.random(ROWS) < p_other).astype(float),
            difference=p_arm - p_other,
        )
        for _ in range(PATHS)
    )
    assert stops <= MOST_FALSE_STOPS


def test_outcomes_between_zero_and_one_are_covered_as_well_as_hits_and_misses() -> None:
    rng = np.random.default_rng(7)
    stops = sum(
        ever_excluded(rng.beta(2, 2, ROWS), (rng.random(ROWS) < 0.5).astype(float), difference=0.0)
        for _ in range(PATHS)
    )
    assert stops <= MOST_FALSE_STOPS


def test_a_fixed_sample_test_on_the_same_streams_breaks_the_promise() -> None:
    """Show that the simulation can tell: a z-test repeated at every row stops far too often."""
    rng = np.random.default_rng(20_240_101)
    critical, stops = float(stats.norm.ppf(1 - ALPHA / 2)), 0
    for _ in range(PATHS):
        arm, other = np.cumsum(rng.random(ROWS) < 0.5), np.cumsum(rng.random(ROWS) < 0.5)
        n = np.arange(1, ROWS + 1)
        pooled = (arm + other) / (2 * n)
        error = np.sqrt(np.maximum(2 * pooled * (1 - pooled) / n, 1e-12))
        stops += bool(np.any((np.abs(arm - other) / n / error)[30:] > critical))
    assert stops > MOST_FALSE_STOPS


@pytest.mark.parametrize(("hits", "rows"), [(0, 0), (3, 10), (85, 100), (100, 100), (12.5, 40)])
def test_the_evidence_of_one_arm_is_the_mixture_integral(hits: float, rows: int) -> None:
    def density(q: float) -> float:
        return float(np.exp(special.xlogy(hits, q / 0.6) + special.xlogy(rows - hits, (1 - q) / 0.4)))

    # `weight="alg"` integrates the arcsine prior with its end-point singularities exactly.
    value, _ = integrate.quad(density, 0, 1, weight="alg", wvar=(-0.5, -0.5))
    # An arm without outcomes has evidence 1 at any mean, so the pair's evidence is the one arm's, at its best mean.
    alone = evidence_against(0.6 - 0.0, arm=Tally(total=hits, count=rows), other=Tally(total=0, count=10_000_000))
    nothing = evidence_against(0.0, arm=Tally(total=0, count=0), other=Tally(total=0, count=10_000_000))
    # The other arm's ten million misses pin its mean to zero; what is left is the first arm at 0.6, to the pin's precision.
    assert alone - nothing == pytest.approx(math.log(value / math.pi), abs=1e-3)


def test_the_least_favourable_pair_agrees_with_a_general_minimiser() -> None:
    arm, other, difference = Tally(total=130, count=200), Tally(total=160, count=210), 0.03

    def evidence(p: float) -> float:
        def one(t: Tally, mean: float) -> float:
            prior = special.betaln(t.total + 0.5, t.count - t.total + 0.5) - special.betaln(0.5, 0.5)
            return float(prior - special.xlogy(t.total, mean) - special.xlogy(t.count - t.total, 1 - mean))

        return one(arm, p + difference) + one(other, p)

    best = optimize.minimize_scalar(
        evidence, bounds=(1e-9, 1 - difference - 1e-9), method="bounded", options={"xatol": 1e-12}
    )
    assert evidence_against(difference, arm=arm, other=other) == pytest.approx(best.fun, abs=1e-8)


def test_the_interval_holds_the_estimate_and_its_ends_are_where_the_evidence_suffices() -> None:
    arm, other = Tally(total=130, count=200), Tally(total=160, count=210)
    found = compare_means(arm, other, alpha=0.05)
    assert found.lower < found.estimate < found.upper
    for edge in (found.lower, found.upper):
        assert evidence_against(edge, arm=arm, other=other) == pytest.approx(math.log(20), abs=1e-6)


def test_more_rows_narrow_the_interval() -> None:
    widths = [
        found.upper - found.lower
        for n in (10, 100, 1_000, 10_000)
        for found in [compare_means(Tally(total=0.8 * n, count=n), Tally(total=0.8 * n, count=n), alpha=0.05)]
    ]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.07


def test_swapping_the_arms_mirrors_the_interval() -> None:
    arm, other = Tally(total=13, count=20), Tally(total=160, count=210)
    one, two = compare_means(arm, other, alpha=0.05), compare_means(other, arm, alpha=0.05)
    assert one.lower == pytest.approx(-two.upper, abs=1e-9)
    assert one.upper == pytest.approx(-two.lower, abs=1e-9)


def test_no_outcomes_exclude_nothing() -> None:
    found = compare_means(Tally(total=0, count=0), Tally(total=0, count=0), alpha=0.05)
    assert (found.lower, found.upper) == (-1.0, 1.0)


def test_perfect_arms_give_a_finite_interval() -> None:
    found = compare_means(Tally(total=500, count=500), Tally(total=0, count=500), alpha=0.05)
    assert 0.9 < found.lower < found.upper == 1.0


@pytest.mark.parametrize(
    ("arm", "alpha", "field"),
    [
        (Tally(total=5, count=4), 0.05, "total"),
        (Tally(total=-1, count=4), 0.05, "total"),
        (Tally(total=math.nan, count=4), 0.05, "total"),
        (Tally(total=1, count=4), 0.0, "alpha"),
        (Tally(total=1, count=4), 1.0, "alpha"),
    ],
)
def test_impossible_numbers_are_refused_by_name(arm: Tally, alpha: float, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        compare_means(arm, Tally(total=1, count=2), alpha=alpha)
    assert caught.value.field == field
