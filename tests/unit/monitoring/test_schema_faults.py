"""What breaks the schema of the reference is a fault with its detail; what the number of rows explains is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from flyball.datasets.profiling import profile_table
from flyball.monitoring.entities import DataFault, FaultKind
from flyball.monitoring.monitor import DataRules
from flyball.monitoring.reference_columns import table_summary_of
from flyball.monitoring.schema_faults import row_faults, schema_faults
from flyball.monitoring.summaries import TableSummary
from flyball.monitoring.summarising import summarise


def _summary(**columns: object) -> TableSummary:
    table = pa.table(columns)
    return summarise(table, names=table.column_names, rows_of=table.column_names)


def _faults(reference: TableSummary, window: TableSummary, **rules: float) -> list[DataFault]:
    return schema_faults(reference.columns, window.columns, DataRules(**rules))  # type: ignore[arg-type]


def test_categories_that_the_reference_does_not_know_are_a_fault() -> None:
    known = _summary(zone=["north", "south"] * 200)
    (found,) = _faults(known, _summary(zone=["north"] * 80 + ["west"] * 15 + ["east"] * 5))
    assert (found.kind, found.share) == (FaultKind.NEW_CATEGORY, 0.2)
    assert "2 categories that the reference does not know, most 'west'" in found.detail
    assert _faults(known, _summary(zone=["north"] * 99 + ["west"])) == []


def test_a_reference_that_does_not_name_all_its_categories_finds_no_new_one() -> None:
    names = [f"customer {row}" for row in range(300)]
    known = table_summary_of(profile_table(pa.table({"name": names})))
    assert _faults(known, _summary(name=["another"] * 50)) == []


def test_vanished_categories_are_judged_where_it_is_asked_for() -> None:
    known = _summary(zone=["north", "south"] * 200)
    window = _summary(zone=["north"] * 60)
    assert _faults(known, window) == []
    (found,) = _faults(known, window, vanished_category_share=0.2)
    assert (found.kind, found.share) == (FaultKind.VANISHED_CATEGORY, 0.5)
    assert _faults(known, _summary(zone=["north"] * 3), vanished_category_share=0.2) == []


def test_values_that_never_repeated_and_now_do_are_a_fault() -> None:
    known = _summary(id=[f"k{row}" for row in range(1_000)])
    (found,) = _faults(known, _summary(id=[f"n{row % 20}" for row in range(100)]))
    assert (found.kind, found.share) == (FaultKind.NOT_UNIQUE, 0.8)
    assert [one.kind for one in _faults(known, _summary(id=[f"n{row}" for row in range(100)]))] == []


def test_rows_that_repeat_each_other_are_a_fault_beyond_what_the_reference_lets_expect() -> None:
    generator = np.random.default_rng(1)
    known = _summary(x=generator.normal(0, 1, 2_000))
    same = np.repeat(generator.normal(0, 1, 50), 8)
    (found,) = row_faults(known, _summary(x=same), DataRules())
    assert (found.feature, found.kind, found.share) == ("rows", FaultKind.REPEATED_ROWS, 0.875)
    assert row_faults(_summary(x=np.repeat(same, 5)), _summary(x=same), DataRules()) == []


def test_many_rows_of_a_small_world_repeat_each_other_without_a_fault() -> None:
    generator = np.random.default_rng(2)
    known = _summary(x=generator.integers(0, 2_000, 200))
    assert row_faults(known, _summary(x=generator.integers(0, 2_000, 8_000)), DataRules()) == []


def test_rows_that_come_a_whole_window_late_are_a_fault() -> None:
    window = _summary(x=list(range(100)))
    assert row_faults(window, replace(window, late=40), DataRules()) == []
    (found,) = row_faults(window, replace(window, late=70), DataRules())
    assert (found.kind, found.share) == (FaultKind.STALE, 0.7)
