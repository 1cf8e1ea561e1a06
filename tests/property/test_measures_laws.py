"""Laws that measures hold for every input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.measures.drift import (
    chi_square,
    jensen_shannon,
    kolmogorov_smirnov,
    normed_wasserstein,
    population_stability,
)
from flyball.measures.intervals import block_bootstrap, wilson
from flyball.measures.multiplicity import benjamini_hochberg, holm
from flyball.measures.sketch import sketch_of, sketch_of_quantiles
from flyball.measures.sketched import ks_of, normed_wasserstein_of

# Steps of 1/64 keep sums and differences exact, so that laws hold to the last digit and not only nearly.
numbers = st.integers(-64_000, 64_000).map(lambda value: value / 64)
samples = st.lists(numbers, min_size=1, max_size=40)
varied = st.lists(numbers, min_size=2, max_size=40).filter(lambda values: min(values) < max(values))
count_pairs = st.integers(1, 12).flatmap(
    lambda size: st.tuples(*(st.lists(st.integers(0, 1_000), min_size=size, max_size=size).filter(any),) * 2)
)
probabilities = st.lists(st.floats(0, 1), max_size=30)


@given(samples, samples)
def test_ks_is_symmetric_and_between_zero_and_one(one: list[float], two: list[float]) -> None:
    there, back = kolmogorov_smirnov(one, two), kolmogorov_smirnov(two, one)
    assert there.statistic == pytest.approx(back.statistic, abs=1e-12)
    assert 0 <= there.statistic <= 1
    assert 0 <= there.p_value <= 1


@given(samples)
def test_a_sample_does_not_drift_from_itself(values: list[float]) -> None:
    assert kolmogorov_smirnov(values, values).statistic == 0
    assert kolmogorov_smirnov(values, values).p_value == 1


@given(varied, samples, numbers, st.sampled_from([0.25, 1.0, 8.0]))
def test_the_normed_distance_knows_no_unit(
    reference: list[float], sample: list[float], shift: float, scale: float
) -> None:
    moved = normed_wasserstein(np.array(reference) * scale + shift, np.array(sample) * scale + shift)
    assert moved == pytest.approx(normed_wasserstein(reference, sample), rel=1e-9, abs=1e-9)


@given(count_pairs)
def test_distances_between_counts_are_symmetric_and_not_negative(counts: tuple[list[int], list[int]]) -> None:
    one, two = counts
    assert 0 <= jensen_shannon(one, two) == pytest.approx(jensen_shannon(two, one), abs=1e-9)
    assert 0 <= population_stability(one, two) == pytest.approx(population_stability(two, one), abs=1e-9)
    assert 0 <= chi_square(one, two).p_value <= 1


@given(varied, samples)
def test_a_profile_agrees_with_itself_whatever_the_sample(reference: list[float], sample: list[float]) -> None:
    quantiles = np.quantile(reference, np.linspace(0, 1, 101))
    known = sketch_of_quantiles(
        quantiles, count=len(reference), mean=float(np.mean(reference)), deviation=float(np.std(reference))
    )
    found = ks_of(known, sketch_of(sample))
    assert 0 <= found.statistic <= 1
    assert 0 <= found.p_value <= 1
    assert normed_wasserstein_of(known, sketch_of(sample)) >= 0


@given(probabilities)
def test_adjusting_never_lowers_a_p_value_and_holm_is_the_stricter(p_values: list[float]) -> None:
    by_holm, by_rate = holm(p_values), benjamini_hochberg(p_values)
    assert np.all(by_rate >= np.array(p_values) - 1e-12)
    assert np.all(by_holm >= by_rate - 1e-12)


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.6, 0.99))
def test_wilsons_bounds_hold_the_estimate_and_mirror(hits: int, misses: int, confidence: float) -> None:
    found, mirrored = (wilson(count, hits + misses, confidence=confidence) for count in (hits, misses))
    assert 0 <= found.lower <= found.estimate <= found.upper <= 1
    assert found.lower == pytest.approx(1 - mirrored.upper, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=1, max_size=12), st.integers(0, 9))
def test_bootstrap_bounds_hold_the_estimate_and_stay_shares(pairs: list[tuple[int, int]], seed: int) -> None:
    hits, rows = [min(pair) for pair in pairs], [pair[1] for pair in pairs]
    found = block_bootstrap(hits, rows, confidence=0.9, resamples=50, seed=seed)
    assert 0 <= found.lower <= found.estimate <= found.upper <= 1
