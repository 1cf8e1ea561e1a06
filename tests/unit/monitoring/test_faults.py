"""Wrong data is found and told from changed data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from flyball.datasets.profile import ColumnProfile
from flyball.datasets.profiling import profile_table
from flyball.monitoring.entities import DataFault, FaultKind
from flyball.monitoring.faults import find_faults
from flyball.monitoring.monitor import DataRules
from flyball.monitoring.summarising import summarise_column


def _profile(values: Sequence[object] | np.ndarray) -> ColumnProfile:
    return profile_table(pa.table({"x": pa.array(values)})).columns[0]


def _faults(
    reference: Sequence[object] | np.ndarray, window: Sequence[object] | np.ndarray, **rules: float
) -> list[DataFault]:
    return find_faults(_profile(reference), summarise_column(pa.chunked_array([pa.array(window)])), DataRules(**rules))  # type: ignore[arg-type]


def _prices(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(3, 0.4, size)


def test_data_like_the_reference_has_no_fault() -> None:
    assert _faults(_prices(1, 5_000), _prices(2, 300)) == []


@pytest.mark.parametrize("shift", [0.5, 1.0, 1.5])
def test_a_shift_within_reach_is_no_fault(shift: float) -> None:
    reference, window = (np.random.default_rng(seed).normal(10, 2, 1_000) for seed in (1, 2))
    assert _faults(reference, window + 2 * shift) == []


@pytest.mark.parametrize("hole", [None, float("nan"), float("inf")])
def test_a_jump_of_missing_values_is_a_fault(hole: float | None) -> None:
    window = [hole if row % 5 == 0 else float(row % 7) for row in range(500)]
    (found,) = _faults([float(row % 7) for row in range(1_000)], window)
    assert (found.kind, round(found.share, 2)) == (FaultKind.MISSING, 0.2)
    assert "20.0% of the values are missing, 0.0% in the reference" in found.detail


def test_missing_values_as_in_the_reference_are_no_fault() -> None:
    column = [None if row % 5 == 0 else float(row % 7) for row in range(1_000)]
    assert _faults(column, column[:300]) == []


def test_a_few_missing_values_of_few_rows_prove_nothing() -> None:
    assert _faults([float(row) for row in range(100)], [None, *map(float, range(5, 100, 10))]) == []


def test_a_column_without_any_value_is_missing() -> None:
    (found,) = _faults([1.0, 2.0, 3.0], pa.nulls(50, pa.float64()))
    assert (found.kind, found.share) == (FaultKind.MISSING, 1.0)


def test_text_in_place_of_numbers_is_a_fault_of_type() -> None:
    (found,) = _faults(_prices(1, 500), ["12.5", "n/a", "13.5", "error"] * 50)
    assert (found.kind, found.share) == (FaultKind.TYPE, 0.5)


def test_numbers_written_as_text_are_numbers() -> None:
    assert _faults(_prices(1, 500), [str(price) for price in _prices(2, 100)]) == []


def test_truth_values_in_place_of_numbers_are_a_fault_of_type() -> None:
    (found,) = _faults(_prices(1, 500), [True, False] * 50)
    assert (found.kind, found.share) == (FaultKind.TYPE, 1.0)


def test_a_stuck_sensor_is_a_fault() -> None:
    (found,) = _faults(_prices(1, 500), [21.5] * 100)
    assert (found.kind, found.share) == (FaultKind.CONSTANT, 1.0)
    assert "stands still at 21.5" in found.detail


@pytest.mark.parametrize("flags", [[0.0, 1.0] * 50, ["a", "b"] * 50, [True, False] * 50])
def test_a_flag_that_stays_the_same_is_no_fault(flags: list[object]) -> None:
    assert _faults(flags, flags[:1] * 100) == []


def test_a_stuck_category_of_many_is_a_fault() -> None:
    (found,) = _faults([f"zone{row % 12}" for row in range(600)], ["zone3"] * 100)
    assert found.kind is FaultKind.CONSTANT
    assert "always 'zone3'" in found.detail


@pytest.mark.parametrize("factor", [1_000.0, 100.0])
def test_a_unit_error_upwards_is_out_of_range_and_its_factor_is_named(factor: float) -> None:
    (found,) = _faults(_prices(1, 5_000), _prices(2, 300) * factor)
    assert found.kind is FaultKind.OUT_OF_RANGE
    assert found.share > 0.95
    assert f"{factor:g} times the usual: a unit error?" in found.detail


@pytest.mark.parametrize("factor", [0.1, 0.01, 0.001])
def test_a_unit_error_downwards_hides_within_the_range_and_is_found(factor: float) -> None:
    (found,) = _faults(_prices(1, 5_000), _prices(2, 300) * factor)
    assert (found.kind, found.share) == (FaultKind.UNIT, 1.0)
    assert f"divided by {factor:g}" in found.detail


def test_a_unit_error_in_a_tenth_of_the_rows_is_found() -> None:
    window = _prices(2, 300)
    window[:30] *= 1_000
    (found,) = _faults(_prices(1, 5_000), window)
    assert (found.kind, round(found.share, 2)) == (FaultKind.OUT_OF_RANGE, 0.1)
    assert "1000 times" in found.detail


def test_a_few_outliers_are_no_fault() -> None:
    window = _prices(2, 300)
    window[:9] *= 1_000
    assert _faults(_prices(1, 5_000), window) == []
    assert len(_faults(_prices(1, 5_000), window, out_of_range_share=0.02)) == 1


def test_values_far_away_without_a_factor_carry_no_hint() -> None:
    (found,) = _faults(_prices(1, 5_000), _prices(2, 300) * 30_000)
    assert found.kind is FaultKind.OUT_OF_RANGE
    assert "unit" not in found.detail


def test_a_constant_reference_has_no_known_range() -> None:
    assert _faults([0.4] * 500, _prices(2, 300) * 1e6) == []
    assert _faults([0.4] * 500, [0.7] * 300) == []


def test_an_empty_reference_still_knows_that_values_are_missing() -> None:
    assert _faults(pa.nulls(50, pa.float64()), [1.0] * 20) == []


def test_a_tenfold_median_that_is_no_drift_is_no_fault() -> None:
    tail = [100.0 * row for row in range(1, 41)]
    assert _faults([0.01 * row for row in range(1, 101)] + tail, [0.1 * row for row in range(1, 101)] + tail) == []
