"""Drift between two samples, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.special
import scipy.stats

from flyball.kernel.errors import InvalidInput
from flyball.measures.drift import (
    chi_square,
    count_distances,
    hellinger,
    jensen_shannon,
    kolmogorov_smirnov,
    largest_change,
    normed_wasserstein,
    population_stability,
    total_variation,
)


def _samples(seed: int, *, shift: float = 0.2, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    reference, sample = generator.normal(0, 1, 400), generator.normal(shift, 1.2, 150)
    return (reference.round(), sample.round()) if ties else (reference, sample)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_the_ks_statistic_is_that_of_scipy(seed: int, *, ties: bool) -> None:
    reference, sample = _samples(seed, ties=ties)
    expected = scipy.stats.ks_2samp(reference, sample, method="asymp")
    found = kolmogorov_smirnov(reference, sample)
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-12)
    # SciPy uses the exact distribution at the rounded effective size, we the limit with Stephens' correction.
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.012)


def test_the_ks_p_value_agrees_with_the_exact_one() -> None:
    reference, sample = _samples(11, shift=0.3)
    expected = scipy.stats.ks_2samp(reference, sample, method="exact")
    assert kolmogorov_smirnov(reference, sample).p_value == pytest.approx(expected.pvalue, rel=0.15)


def test_ks_stays_quiet_on_equal_distributions() -> None:
    generator = np.random.default_rng(4)
    alarms = sum(
        kolmogorov_smirnov(generator.normal(size=300), generator.normal(size=80)).p_value < 0.05 for _ in range(400)
    )
    assert alarms <= 33  # 5 % of 400 is 20; more than 33 has a chance below 0.002


@pytest.mark.parametrize("ties", [False, True])
def test_the_normed_wasserstein_distance_is_that_of_scipy(*, ties: bool) -> None:
    reference, sample = _samples(2, ties=ties)
    expected = scipy.stats.wasserstein_distance(reference, sample) / reference.std()
    assert normed_wasserstein(reference, sample) == pytest.approx(expected, rel=1e-12)


def test_a_pure_shift_is_cohens_d() -> None:
    reference = np.random.default_rng(1).normal(10, 3, 500)
    assert normed_wasserstein(reference, reference + 1.5) == pytest.approx(1.5 / reference.std())


def test_a_constant_reference_has_no_unit() -> None:
    with pytest.raises(InvalidInput, match="does not vary"):
        normed_wasserstein([2.0, 2.0], [1.0, 2.0])


COUNTS = ([120, 80, 40, 10], [30, 40, 35, 20])


def test_stability_is_the_symmetric_relative_entropy_of_scipy() -> None:
    ours, theirs = (np.array(counts) + 0.5 for counts in COUNTS)
    ours, theirs = ours / ours.sum(), theirs / theirs.sum()
    expected = scipy.special.rel_entr(ours, theirs).sum() + scipy.special.rel_entr(theirs, ours).sum()
    assert population_stability(*COUNTS) == pytest.approx(expected, rel=1e-12)


def test_stability_stays_finite_where_a_bin_is_empty() -> None:
    assert 0.25 < population_stability([100, 0], [50, 50]) < 10


@pytest.mark.parametrize("counts", [COUNTS, ([5, 0, 0], [0, 4, 1]), ([3, 0], [1, 1])])
def test_the_jensen_shannon_distance_is_that_of_scipy(counts: tuple[list[int], list[int]]) -> None:
    expected = scipy.spatial.distance.jensenshannon(counts[0], counts[1], base=2)
    assert jensen_shannon(*counts) == pytest.approx(float(expected), rel=1e-12)


def test_chi_square_is_that_of_scipy() -> None:
    expected = scipy.stats.chi2_contingency(np.array(COUNTS), correction=False)
    found = chi_square(*COUNTS)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_chi_square_pools_rare_categories() -> None:
    pooled = chi_square([120, 80, 43], [30, 40, 38])
    assert chi_square([120, 80, 40, 2, 1], [30, 40, 35, 1, 2]).statistic != pooled.statistic
    assert chi_square([120, 80, 2, 1, 40], [30, 40, 1, 2, 35]) == chi_square([120, 80, 40, 2, 1], [30, 40, 35, 1, 2])
    expected = scipy.stats.chi2_contingency(np.array([[120, 80, 40, 3], [30, 40, 35, 3]]), correction=False)
    assert chi_square([120, 80, 40, 2, 1], [30, 40, 35, 1, 2]).p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_one_category_cannot_change_its_share() -> None:
    assert (chi_square([50], [20]).statistic, chi_square([50], [20]).p_value) == (0.0, 1.0)


@pytest.mark.parametrize("bad", [[], [1.0, float("nan")], [float("inf")], [[1.0], [2.0]]])
def test_samples_with_holes_are_refused(bad: list[float]) -> None:
    with pytest.raises(InvalidInput):
        kolmogorov_smirnov([1.0, 2.0], bad)
    with pytest.raises(InvalidInput):
        normed_wasserstein(bad, [1.0, 2.0])


@pytest.mark.parametrize("bad", [[1, -1], [0, 0], [1, 2, 3], [float("nan"), 1]])
def test_impossible_counts_are_refused(bad: list[float]) -> None:
    for measure in (population_stability, jensen_shannon, chi_square):
        with pytest.raises(InvalidInput):
            measure([3, 4], bad)


@pytest.mark.parametrize("seed", range(5))
def test_distances_between_counts_are_those_of_scipy(seed: int) -> None:
    generator = np.random.default_rng(seed)
    ours, theirs = generator.integers(0, 50, 12), generator.integers(0, 90, 12)
    p, q = ours / ours.sum(), theirs / theirs.sum()
    # Hellinger is the Euclidean distance of the roots, over the root of 2; total variation is half the city block.
    assert hellinger(ours, theirs) == pytest.approx(
        scipy.spatial.distance.euclidean(np.sqrt(p), np.sqrt(q)) / np.sqrt(2), rel=1e-9
    )
    assert total_variation(ours, theirs) == pytest.approx(scipy.spatial.distance.cityblock(p, q) / 2, rel=1e-12)
    assert largest_change(ours, theirs) == pytest.approx(scipy.spatial.distance.chebyshev(p, q), rel=1e-12)


def test_all_distances_of_counts_at_once_are_those_of_each_function() -> None:
    ours, theirs = [10, 0, 31, 4], [3, 8, 0, 40]
    found = count_distances(ours, theirs)
    assert found.population_stability == pytest.approx(population_stability(ours, theirs))
    assert found.jensen_shannon == pytest.approx(jensen_shannon(ours, theirs))
    assert found.hellinger == pytest.approx(hellinger(ours, theirs))
    assert found.total_variation == pytest.approx(total_variation(ours, theirs))
    assert found.largest_change == pytest.approx(largest_change(ours, theirs))


def test_distances_between_counts_are_zero_for_equal_and_one_for_disjoint_ones() -> None:
    for measure in (hellinger, total_variation, largest_change):
        assert measure([3, 1], [6, 2]) == pytest.approx(0.0, abs=1e-8)
        assert measure([3, 0], [0, 2]) == 1.0
