"""Sketches and the drift between them, against SciPy, and by how much a compressed sketch is off."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from flyball.kernel.errors import InvalidInput
from flyball.measures import sketched
from flyball.measures.sketch import Sketch, merged, sketch_of, sketch_of_quantiles, weighted_sketch
from flyball.measures.sketched import (
    anderson_darling_of,
    bin_counts,
    distances_of,
    energy_of,
    ks_of,
    normed_wasserstein_of,
    wasserstein_of,
)


def _samples(seed: int, *, sizes: tuple[int, int] = (500, 300), ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    one, two = generator.normal(0, 1, sizes[0]), generator.gamma(2.0, 0.7, sizes[1])
    return (one.round(), two.round()) if ties else (one, two)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_distances_between_exact_sketches_are_those_of_scipy(seed: int, *, ties: bool) -> None:
    one, two = _samples(seed, ties=ties)
    ours, theirs = sketch_of(one), sketch_of(two)
    assert ks_of(ours, theirs).statistic == pytest.approx(scipy.stats.ks_2samp(one, two).statistic, abs=1e-12)
    assert wasserstein_of(ours, theirs) == pytest.approx(scipy.stats.wasserstein_distance(one, two), rel=1e-12)
    assert energy_of(ours, theirs) == pytest.approx(scipy.stats.energy_distance(one, two), rel=1e-9)
    assert normed_wasserstein_of(ours, theirs) == pytest.approx(wasserstein_of(ours, theirs) / one.std(), rel=1e-12)


@pytest.mark.filterwarnings("ignore:p-value:UserWarning")  # SciPy's table ends at 0.001 and 0.25
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_anderson_darling_is_that_of_scipy(seed: int, *, ties: bool) -> None:
    generator = np.random.default_rng(seed)
    one, two = generator.normal(0, 1, 400), generator.normal(0.1 * (seed - 1), 1, 250)
    one, two = (one.round(1), two.round(1)) if ties else (one, two)
    found = anderson_darling_of(sketch_of(one), sketch_of(two))
    oracle = scipy.stats.anderson_ksamp([one, two], variant="midrank")
    # SciPy gives the statistic less its mean of 1 in units of its deviation, which for two large samples is near 0.76.
    assert (found.statistic - 1.0) / oracle.statistic == pytest.approx(0.76, abs=0.02)
    if 0.002 < oracle.pvalue < 0.24:
        assert found.p_value == pytest.approx(oracle.pvalue, rel=0.15)


def test_tails_count_as_much_for_anderson_darling() -> None:
    generator = np.random.default_rng(3)
    one, two = generator.normal(0, 1, 4_000), generator.standard_t(4, 4_000)
    ours, theirs = sketch_of(one), sketch_of(two)
    assert anderson_darling_of(ours, theirs).p_value < ks_of(ours, theirs).p_value
    large = sketch_of(generator.normal(0, 1, 100_000)), sketch_of(generator.normal(0, 1, 100_000))
    assert anderson_darling_of(*large).p_value > 0.001


@pytest.mark.parametrize("sizes", [(200_000, 200_000), (200_000, 150_000)])
def test_distances_between_large_samples_are_scipy_s_within_the_stated_error(sizes: tuple[int, int]) -> None:
    one, two = _samples(3, sizes=sizes)
    ours, theirs = sketch_of(one), sketch_of(two)
    expected = scipy.stats.ks_2samp(one, two, method="asymp").statistic
    assert expected - 1 / sketched.KNOTS <= ks_of(ours, theirs).statistic <= expected + 1e-12
    reach = (np.ptp(one) + np.ptp(two)) / sketched.LEVELS
    assert wasserstein_of(ours, theirs) == pytest.approx(scipy.stats.wasserstein_distance(one, two), abs=reach)
    assert energy_of(ours, theirs) == pytest.approx(scipy.stats.energy_distance(one, two), rel=1e-3)


@pytest.mark.parametrize("sizes", [(500, 300), (40_000, 40_000), (40_000, 30_000)])
def test_all_distances_at_once_are_those_of_each_function(sizes: tuple[int, int]) -> None:
    ours, theirs = (sketch_of(one) for one in _samples(8, sizes=sizes))
    found = distances_of(ours, theirs)
    assert found.kolmogorov_smirnov == ks_of(ours, theirs)
    assert found.wasserstein == wasserstein_of(ours, theirs)
    assert found.energy == energy_of(ours, theirs)
    assert found.anderson_darling == anderson_darling_of(ours, theirs)


def test_many_values_on_a_grid_are_the_sketch_that_sorting_makes() -> None:
    values = np.random.default_rng(7).normal(5, 2, 10_000).round(2)
    counted, two_halves = sketch_of(values), merged([sketch_of(values[:2_000]), sketch_of(values[2_000:])])
    assert len(counted.points) == len(np.unique(values)) < len(values)
    assert counted.exact
    assert np.array_equal(counted.cumulative(values), np.searchsorted(np.sort(values), values, side="right"))
    levels = np.linspace(0, 1, 333)
    assert counted.at_levels(levels).tolist() == np.quantile(values, levels, method="inverted_cdf").tolist()
    assert [counted.mean, counted.deviation] == pytest.approx([values.mean(), values.std()])
    assert np.array_equal(two_halves.collapsed().points, counted.points)


def test_moments_and_ends_are_exact_whatever_was_compressed_and_merged() -> None:
    values = np.random.default_rng(1).exponential(size=30_000)
    parts = [sketch_of(values[start::7], limit=50) for start in range(7)]
    whole = merged(parts).compressed(40)
    assert (whole.count, whole.minimum, whole.maximum) == (30_000, values.min(), values.max())
    assert whole.mean == pytest.approx(values.mean(), rel=1e-12)
    assert whole.deviation == pytest.approx(values.std(), rel=1e-12)
    assert len(whole.points) <= 40


@pytest.mark.parametrize("limit", [2, 10, 333])
@pytest.mark.parametrize("values", ["normal", "ties", "constant"])
def test_a_compressed_sketch_counts_within_its_stated_error(limit: int, values: str) -> None:
    generator = np.random.default_rng(5)
    made = {"normal": generator.normal(size=5_000), "ties": generator.integers(0, 4, 5_000), "constant": np.ones(5_000)}
    sample = np.asarray(made[values], dtype=np.float64)
    parts = [sketch_of(part, limit=limit) for part in np.array_split(sample, 3)]
    whole = merged(parts).compressed(limit)
    asked = np.concatenate([sample[:500], sample[:500] + 0.01])
    true = (sample[None, :] <= asked[:, None]).sum(axis=1)
    assert np.abs(whole.cumulative(asked) - true).max() <= whole.rank_error
    assert whole.rank_error <= 2 * (5_000 // limit + 3 * limit)
    assert whole.cumulative([sample.max()]).tolist() == [5_000]


def test_a_merge_of_exact_sketches_is_the_sketch_of_all() -> None:
    values = np.random.default_rng(2).normal(size=999)
    whole, parts = sketch_of(values), merged([sketch_of(values[:300]), sketch_of(values[300:])])
    assert np.array_equal(parts.points, whole.points)
    assert parts.exact
    assert parts.at_levels([0, 0.25, 1]).tolist() == np.quantile(values, [0, 0.25, 1], method="inverted_cdf").tolist()


def test_an_error_of_a_sketch_hides_significance_and_never_makes_it() -> None:
    one, two = _samples(9, sizes=(4_000, 4_000))
    exact = ks_of(sketch_of(one), sketch_of(two))
    rough = ks_of(sketch_of(one, limit=20), sketch_of(two, limit=20))
    assert rough.p_value >= exact.p_value
    same = np.random.default_rng(4).normal(size=4_000)
    assert ks_of(sketch_of(same, limit=5), sketch_of(same)).p_value > 0.99


def test_bins_hold_equal_shares_of_the_reference_and_ties_are_not_split() -> None:
    one, two = _samples(6)
    ours, theirs = bin_counts(sketch_of(one), sketch_of(two))
    assert ours.tolist() == [50.0] * 10
    assert theirs.sum() == len(two)
    tied, _ = bin_counts(sketch_of(np.repeat([1.0, 2.0], [90, 10])), sketch_of(np.ones(5)))
    assert tied.tolist() == [90.0, 10.0]


@pytest.mark.parametrize("size", [1e-200, 1e200, 1.0])
def test_the_deviation_of_extreme_values_is_a_number(size: float) -> None:
    values = np.array([1.0, 2.0, 4.0])
    assert sketch_of(values * size).deviation == pytest.approx(values.std() * size, rel=1e-12)


def test_what_never_varies_has_no_deviation() -> None:
    assert sketch_of(np.full(1_000, 0.1)).deviation == 0.0


def test_nothing_and_what_is_not_finite_is_refused() -> None:
    for values in ([], [np.nan], [np.inf]):
        with pytest.raises(InvalidInput):
            sketch_of(values)
    with pytest.raises(InvalidInput, match="nothing to merge"):
        merged([])
    with pytest.raises(InvalidInput, match="at least 2"):
        _of(3).compressed(1)


def _of(count: int) -> Sketch:
    return sketch_of(np.arange(count, dtype=np.float64))


def test_equal_points_are_one_and_nothing_is_lost() -> None:
    values = np.random.default_rng(5).normal(0, 1, 20_000).round(1)
    one = sketch_of(values)
    few = one.collapsed()
    assert len(few.points) == len(np.unique(values))
    assert (few.count, few.rank_error, few.mean) == (one.count, 0, one.mean)
    assert few.cumulative(values[:50]).tolist() == one.cumulative(values[:50]).tolist()
    assert one.compressed(200).exact


def test_values_with_counts_are_the_same_sketch_as_their_rows() -> None:
    values, counts = [3.0, 1.0, 2.0, 1.0], [2, 1, 4, 1]
    found, rows = weighted_sketch(values, counts), sketch_of(np.repeat(values, counts))
    assert (found.points.tolist(), found.weights.tolist() if found.weights is not None else None) == (
        [1.0, 2.0, 3.0],
        [2, 4, 2],
    )
    assert (found.count, found.minimum, found.maximum) == (rows.count, rows.minimum, rows.maximum)
    assert (found.mean, found.deviation) == pytest.approx((rows.mean, rows.deviation), rel=1e-12)
    with pytest.raises(InvalidInput, match="count of at least 1"):
        weighted_sketch([1.0, 2.0], [1, 0])


@pytest.mark.parametrize("size", [37, 500, 20_000])
def test_quantiles_stand_for_their_rows_to_within_a_step(size: int) -> None:
    one, two = _samples(7, sizes=(size, 900))
    quantiles = np.quantile(one, np.linspace(0, 1, 101))
    known = sketch_of_quantiles(quantiles, count=size, mean=one.mean(), deviation=one.std())
    found, oracle = ks_of(known, sketch_of(two)), scipy.stats.ks_2samp(one, two)
    assert found.statistic == pytest.approx(oracle.statistic, abs=0.01 + 1 / min(size, 2048))
    assert found.p_value >= oracle.pvalue * 0.99
    step = float(np.diff(quantiles).max())
    assert wasserstein_of(known, sketch_of(two)) == pytest.approx(
        scipy.stats.wasserstein_distance(one, two), abs=0.011 * step + 0.01
    )


@pytest.mark.parametrize("bad", [[1.0], [2.0, 1.0], [np.nan, 1.0]])
def test_what_is_no_row_of_quantiles_is_refused(bad: list[float]) -> None:
    with pytest.raises(InvalidInput):
        sketch_of_quantiles(bad, count=10, mean=1.0, deviation=0.5)
