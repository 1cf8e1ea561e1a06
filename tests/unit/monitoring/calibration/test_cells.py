"""History as counts: rows fall into their cells, and a summary counts as the rows themselves."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from flyball.datasets.profiling import profile_table
from flyball.monitoring.calibration.cells import bins_of, cell_length, codes_of, empty_cells, fill, summary_counts
from flyball.monitoring.calibration.effects import null_effects
from flyball.monitoring.calibration.entities import Cycle, FeatureBins
from flyball.monitoring.calibration.seasons import phases_of, usable_cycles
from flyball.monitoring.monitor import DAY_MS, DriftRules, Effect
from flyball.monitoring.summarising import summarise_column

NUMBERS = FeatureBins(feature="x", measure="wasserstein", cuts=(0.0, 1.0, 2.0), unit=1.0)
NAMES = FeatureBins(feature="c", measure="jensen_shannon", names=("a", "b"))


def test_rows_fall_into_their_cell_and_bin() -> None:
    cells = empty_cells(100, count=2, cell_ms=10, bins=[NUMBERS, NAMES])
    columns = {
        "x": pa.chunked_array([[-1.0, 0.5, None, 5.0, 9.0]]),
        "c": pa.chunked_array([["a", "z", None, "b", "a"]]),
    }
    fill(cells, np.array([100, 109, 105, 119, 120]), columns)
    assert cells.rows.tolist() == [3, 1]
    assert cells.counts[0].tolist() == [[1, 1, 0, 0], [0, 0, 0, 1]]
    assert cells.counts[1].tolist() == [[1, 0, 1], [0, 1, 0]]
    assert cells.beyond[0].tolist() == [1.0, 3.0]


def test_a_feature_that_was_not_served_yet_has_no_values_there() -> None:
    cells = empty_cells(0, count=1, cell_ms=10, bins=[NUMBERS])
    fill(cells, np.array([1]), {})
    assert (cells.rows.tolist(), cells.counts[0].sum()) == ([1.0], 0.0)


def test_a_summary_counts_as_its_rows_do() -> None:
    values = pa.chunked_array([np.append(np.random.default_rng(1).normal(1, 2, 500), np.nan)])
    names = pa.chunked_array([np.random.default_rng(2).choice(["a", "b", "q"], 500).tolist()])
    for bins, column in ((NUMBERS, values), (NAMES, names)):
        codes, outside = codes_of(bins, column)
        there = codes >= 0
        counts, beyond = summary_counts(bins, summarise_column(column))
        assert counts.tolist() == np.bincount(codes[there], minlength=bins.count).tolist()
        assert abs(beyond - outside[there].sum()) < 1e-9


def test_what_a_number_is_not_has_no_bin() -> None:
    for column in ([True, False], ["x", "1"]):
        codes, _outside = codes_of(NUMBERS, pa.chunked_array([column]))
        assert codes.tolist() == [-1, -1]


def test_bins_follow_the_profile_and_the_measure() -> None:
    profile = profile_table(pa.table({"x": np.arange(1_000.0), "same": np.ones(1_000), "c": ["a", "b"] * 500}))
    fine = bins_of(profile.get("x"), DriftRules())
    coarse = bins_of(profile.get("x"), DriftRules(numeric_measure=Effect.STABILITY))
    assert fine is not None
    assert coarse is not None
    assert (fine.count, coarse.count) == (52, 12)
    assert bins_of(profile.get("same"), DriftRules()) is None
    category = bins_of(profile.get("c"), DriftRules())
    assert category is not None
    assert category.names == ("a", "b")


def test_a_window_is_held_against_the_rest_of_its_phase_without_what_is_near_it() -> None:
    cells = empty_cells(0, count=4, cell_ms=1, bins=[NAMES])
    fill(cells, np.array([0, 1, 2, 3]), {"c": pa.chunked_array([["a", "b", "a", "b"]])})
    window, odd_even, one = np.array([[0]]), np.array([0, 1, 0, 1]), np.zeros(4, dtype=np.int64)
    assert null_effects(cells, window, odd_even, guard=0)[0, 0] == 0.0  # against cell 2
    assert null_effects(cells, window, odd_even, guard=1)[0, 0] == 0.0  # cell 1 is of another phase anyway
    assert 0.0 < null_effects(cells, window, one, guard=0)[0, 0] < 1.0  # against cells 1, 2 and 3
    assert 0.0 < null_effects(cells, window, one, guard=1)[0, 0] < null_effects(cells, window, one, guard=0)[0, 0]


def test_cells_divide_their_window() -> None:
    assert cell_length(7 * DAY_MS) == DAY_MS
    assert cell_length(36 * 3_600_000) == 36 * 3_600_000
    assert cell_length(90_000) == 90_000


def test_cycles_that_matter_are_usable_when_they_came_round_often_enough() -> None:
    assert usable_cycles(3_600_000, 3_600_000, 60 * DAY_MS) == (
        [Cycle.DAY, Cycle.WEEK],
        {"year": "the history has 60 days, 730 are needed"},
    )
    assert usable_cycles(7 * DAY_MS, DAY_MS, 800 * DAY_MS)[0] == [Cycle.YEAR]


def test_phases_tell_hours_and_days_of_the_week_apart() -> None:
    starts = np.arange(14 * 24, dtype=np.int64) * 3_600_000
    both = phases_of(starts, 3_600_000, {Cycle.DAY, Cycle.WEEK})
    assert len(set(both.tolist())) == 168
    assert (both[:168] == both[168:]).all()
    # 1970-01-05 was the first Monday.
    assert phases_of(starts, 3_600_000, {Cycle.WEEK})[4 * 24] == 0
