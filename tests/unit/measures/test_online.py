"""Detectors that see one value after the other, against published run lengths and planted changes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flyball.kernel.errors import InvalidInput
from flyball.measures.online import AdaptiveWindow, Cusum, PageHinkley, cusum_limit, cusum_run_length


@pytest.mark.parametrize(
    ("limit", "shift", "expected"),
    # Montgomery, "Introduction to Statistical Quality Control" (6th ed. 2009), table 9.3: two-sided, allowance 0.5.
    [
        (4, 0.0, 168.0),
        (4, 0.25, 74.2),
        (4, 0.5, 26.6),
        (4, 1.0, 8.38),
        (4, 2.0, 3.34),
        (5, 0.0, 465.0),
        (5, 0.5, 38.0),
        (5, 1.0, 10.4),
        (5, 3.0, 2.57),
    ],
)
def test_run_lengths_are_the_published_ones(limit: float, shift: float, expected: float) -> None:
    assert cusum_run_length(limit, shift=shift) == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize(("run_length", "allowance"), [(10.0, 0.5), (370.0, 0.0), (370.0, 1.0), (1e6, 0.25)])
def test_a_limit_gives_the_run_length_that_was_asked_for(run_length: float, allowance: float) -> None:
    limit = cusum_limit(run_length, allowance=allowance)
    assert cusum_run_length(limit, allowance=allowance) == pytest.approx(run_length, rel=1e-6)


def test_false_alarms_come_as_often_as_stated() -> None:
    values = np.random.default_rng(1).normal(10, 3, 20_000)
    chart = Cusum(mean=10, deviation=3, limit=cusum_limit(200))
    alarms = sum(chart.update(float(value)) for value in values)
    # Times between alarms are nearly exponential, so their number is nearly Poisson with mean 100: five deviations are 50.
    assert abs(alarms - 100) < 50


@pytest.mark.parametrize("sign", [1, -1])
def test_a_shift_is_found_within_the_expected_time(sign: int) -> None:
    generator = np.random.default_rng(2)
    waits = []
    for _ in range(200):
        chart = Cusum(mean=0, deviation=1, limit=5)
        waits.append(next(place for place in range(1, 500) if chart.update(float(generator.normal(sign, 1)))))
    assert np.mean(waits) == pytest.approx(cusum_run_length(5, shift=1), rel=0.15)


def test_page_hinkley_finds_a_rise_and_not_a_fall() -> None:
    generator = np.random.default_rng(3)
    steady, high, low = (generator.normal(mean, 0.1, 500) for mean in (0.2, 0.6, -0.2))
    rise, fall = PageHinkley(limit=10), PageHinkley(limit=10)
    found = next(place for place, value in enumerate([*steady, *high]) if rise.update(float(value)))
    assert found in range(500, 560)
    assert not any(fall.update(float(value)) for value in [*steady, *low])


def test_page_hinkley_is_the_sum_of_its_definition() -> None:
    values = np.random.default_rng(4).normal(0, 1, 200)
    found = PageHinkley(limit=1e9, tolerance=0.05)
    for value in values:
        found.update(float(value))
    means = np.cumsum(values) / np.arange(1, 201)
    sums = np.cumsum(values - means - 0.05)
    assert found.total == pytest.approx(sums[-1], rel=1e-9)
    assert found.lowest == pytest.approx(min(0.0, sums.min()), rel=1e-9)


def test_an_adaptive_window_forgets_the_old_mean_and_keeps_a_steady_one() -> None:
    generator = np.random.default_rng(5)
    before, after = (generator.random(2_000) < share for share in (0.2, 0.5))
    window = AdaptiveWindow()
    assert not any(window.update(float(value)) for value in before)
    assert window.count == 2_000
    cuts = [place for place, value in enumerate(after) if window.update(float(value))]
    assert cuts[0] < 300
    assert window.count < 2_500
    assert window.mean == pytest.approx(0.5, abs=0.04)


def test_an_adaptive_window_seldom_cuts_what_did_not_change() -> None:
    cut = 0
    for seed in range(20):
        window = AdaptiveWindow(confidence=0.05)
        cut += any(window.update(float(value)) for value in np.random.default_rng(seed).random(1_000))
    assert cut <= 5  # of 20, with an expectation of at most 1


def test_memory_of_an_adaptive_window_grows_with_the_logarithm() -> None:
    window = AdaptiveWindow()
    for value in np.random.default_rng(6).random(5_000):
        window.update(float(value))
    buckets = window._oldest_first()
    assert sum(bucket.count for bucket in buckets) == window.count == 5_000
    assert len(buckets) <= window.buckets * math.ceil(math.log2(5_000))
    values = np.random.default_rng(6).random(5_000)
    assert sum(bucket.total for bucket in buckets) == pytest.approx(values.sum())


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InvalidInput):
        Cusum(mean=0, deviation=0)
    with pytest.raises(InvalidInput):
        Cusum(mean=0, deviation=1, allowance=-1)
    with pytest.raises(InvalidInput):
        PageHinkley(limit=0)
    with pytest.raises(InvalidInput):
        AdaptiveWindow(confidence=1)
    with pytest.raises(InvalidInput):
        cusum_limit(1)
    with pytest.raises(InvalidInput, match="more seldom"):
        cusum_limit(5, allowance=2)
    for detector, wrong in (
        (Cusum(mean=0, deviation=1), math.nan),
        (PageHinkley(limit=1), math.inf),
        (AdaptiveWindow(), 1.5),
    ):
        with pytest.raises(InvalidInput):
            detector.update(wrong)


def _stream(seed: int, before: float, after: float, *, spread: float = 1.0) -> list[float]:
    generator = np.random.default_rng(seed)
    return [*generator.normal(before, spread, 500).tolist(), *generator.normal(after, spread, 200).tolist()]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_cusum_dates_a_shift_by_its_last_zero(sign: int) -> None:
    chart = Cusum(mean=0, deviation=1, limit=12)
    found = next(place for place, value in enumerate(_stream(7, 0, 2.0 * sign)) if chart.update(value, mark=place))
    assert 500 < found < 520
    assert abs(chart.since - 500) <= 8
    assert chart.rose is (sign > 0)


def test_page_hinkley_dates_a_rise_by_its_minimum() -> None:
    chart = PageHinkley(limit=15, tolerance=0.5)
    found = next(place for place, value in enumerate(_stream(8, 0, 2.0)) if chart.update(value, mark=place))
    assert 500 < found < 530
    assert abs(chart.since - 500) <= 3


def test_an_adaptive_window_dates_a_change_by_its_cut() -> None:
    window = AdaptiveWindow(every=1)
    values = [min(1.0, max(0.0, value)) for value in _stream(9, 0.2, 0.7, spread=0.1)]
    cuts = [
        (place, window.since, window.rose) for place, value in enumerate(values) if window.update(value, mark=place)
    ]
    place, since, rose = cuts[-1]
    assert 500 < place < 700
    # A cut is only as fine as the buckets, which double in size towards the past.
    assert abs(since - 500) <= 64
    assert rose
