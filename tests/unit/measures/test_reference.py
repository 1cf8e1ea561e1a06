"""Drift against a profile, held against the same measure on the rows that the profile was made from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from flyball.kernel.errors import InvalidInput
from flyball.measures.drift import kolmogorov_smirnov, normed_wasserstein, population_stability
from flyball.measures.reference import decile_counts, ks_against_quantiles, wasserstein_against_quantiles

LEVELS = np.linspace(0, 1, 101)
SHAPES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda generator, size: generator.normal(5, 2, size),
    "heavy tail": lambda generator, size: generator.lognormal(0, 1, size),
    "week days": lambda generator, size: generator.integers(1, 8, size).astype(float),
    "mostly zero": lambda generator, size: np.where(generator.random(size) < 0.7, 0.0, generator.normal(3, 1, size)),
}


def _draw(shape: str, size: int, *, seed: int) -> np.ndarray:
    return np.asarray(SHAPES[shape](np.random.default_rng(seed), size))


@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_statistic_is_within_one_step_of_the_exact_one(shape: str, shift: float) -> None:
    reference, sample = _draw(shape, 5_000, seed=1), _draw(shape, 700, seed=2) + shift
    exact = kolmogorov_smirnov(reference, sample)
    found = ks_against_quantiles(np.quantile(reference, LEVELS), len(reference), sample)
    assert found.statistic == pytest.approx(exact.statistic, abs=0.01)
    assert found.p_value >= exact.p_value - 1e-12


@pytest.mark.parametrize("shape", SHAPES)
def test_a_profile_never_makes_significance(shape: str) -> None:
    reference = _draw(shape, 20_000, seed=1)
    quantiles = np.quantile(reference, LEVELS)
    alarms = sum(
        ks_against_quantiles(quantiles, len(reference), _draw(shape, 2_000, seed=seed)).p_value < 0.05
        for seed in range(2, 202)
    )
    assert alarms <= 19  # 5 % of 200 is 10; more than 19 has a chance below 0.003


@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("shape", ["normal", "week days", "mostly zero"])
def test_the_wasserstein_distance_is_near_the_exact_one(shape: str, shift: float) -> None:
    reference, sample = _draw(shape, 5_000, seed=1), _draw(shape, 700, seed=2) + shift
    exact = normed_wasserstein(reference, sample)
    found = wasserstein_against_quantiles(np.quantile(reference, LEVELS), float(reference.std()), sample)
    # One step of 0.01 at each jump of the quantiles, times the jump's height in standard deviations.
    assert found == pytest.approx(exact, abs=0.03)


def test_the_area_between_quantile_functions_is_exact_for_straight_lines() -> None:
    # The reference is uniform on 0..1; against a point mass at 0.25 the area is 0.25**2/2 + 0.75**2/2.
    found = wasserstein_against_quantiles(LEVELS, 1.0, np.full(7, 0.25))
    assert found == pytest.approx(0.03125 + 0.28125, rel=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_deciles_count_the_reference_as_its_rows_do(shape: str) -> None:
    reference, sample = _draw(shape, 5_000, seed=1), _draw(shape, 700, seed=2)
    expected, counted = decile_counts(np.quantile(reference, LEVELS), len(reference), sample)
    assert expected.sum() == pytest.approx(5_000)
    assert counted.sum() == 700
    assert population_stability(expected, counted) < 0.1


def test_deciles_see_a_shift() -> None:
    reference = _draw("normal", 5_000, seed=1)
    expected, counted = decile_counts(np.quantile(reference, LEVELS), 5_000, _draw("normal", 700, seed=2) + 2)
    assert population_stability(expected, counted) > 0.25


def test_a_constant_profile_is_one_bin_for_itself_and_two_for_others() -> None:
    quantiles = np.full(101, 3.0)
    assert [part.tolist() for part in decile_counts(quantiles, 50, [3.0, 3.0])] == [[50.0], [2.0]]
    assert [part.tolist() for part in decile_counts(quantiles, 50, [3.0, 4.0])] == [[50.0, 0.0], [1.0, 1.0]]


@pytest.mark.parametrize("bad", [[], [1.0], [2.0, 1.0], [1.0, float("nan")]])
def test_impossible_quantiles_are_refused(bad: list[float]) -> None:
    with pytest.raises(InvalidInput):
        ks_against_quantiles(bad, 10, [1.0])
    with pytest.raises(InvalidInput):
        wasserstein_against_quantiles(bad, 1.0, [1.0])
    with pytest.raises(InvalidInput):
        decile_counts(bad, 10, [1.0])
