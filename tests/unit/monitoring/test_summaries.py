"""Summaries of parts, merged, are the summary of the whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from flyball.datasets.profile import ColumnKind
from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import Corrupted, InvalidInput
from flyball.monitoring.sketches import Sketches, sketch_table
from flyball.monitoring.summaries import MOST_HASHES, TableSummary, merge_summaries
from flyball.monitoring.summarising import summarise
from flyball.monitoring.summary_codec import pack, summary_to_json, unpack


def _table(rows: int, seed: int) -> pa.Table:
    generator = np.random.default_rng(seed)
    number = generator.normal(0, 1, rows)
    number[::11] = np.nan
    return pa.table(
        {
            "number": number,
            "whole": generator.integers(0, 40, rows),
            "text": generator.choice(["a", "b", "1.5", "nan"], rows),
            "flag": generator.random(rows) < 0.3,
            "hole": pa.array([None if row % 3 else "x" for row in range(rows)]),
        }
    )


def _summary(table: pa.Table, points: int | None = None) -> TableSummary:
    return summarise(table, names=table.column_names, rows_of=["whole", "flag"], points=points)


def test_merged_parts_say_what_the_whole_says() -> None:
    table = _table(3_000, 1)
    whole = _summary(table)
    parts = merge_summaries([_summary(table[:700]), _summary(table[700:701]), _summary(table[701:])])
    left = summary_to_json(replace(whole, columns={}))
    assert summary_to_json(replace(parts, columns={})) == left
    for name, column in whole.columns.items():
        found = parts.columns[name]
        assert (found.kind, found.rows, found.missing, found.unreadable) == (
            column.kind,
            column.rows,
            column.missing,
            column.unreadable,
        )
        assert found.as_categories().counts == column.as_categories().counts
        if column.numbers is not None and found.numbers is not None:
            assert found.numbers.points.tolist() == column.numbers.points.tolist()
            assert found.numbers.deviation == pytest.approx(column.numbers.deviation, rel=1e-12)


def test_a_column_that_a_part_lacks_is_missing_there() -> None:
    one = _summary(_table(100, 1))
    other = replace(one, columns={name: column for name, column in one.columns.items() if name != "flag"})
    found = merge_summaries([one, other]).columns["flag"]
    assert (found.rows, found.missing) == (200, 100)


def test_a_column_that_changes_its_type_is_read_as_both() -> None:
    numbers, texts = pa.table({"x": [1.0, 2.0, None]}), pa.table({"x": ["2", "broken"]})
    found = merge_summaries([summarise(part, names=["x"]) for part in (numbers, texts)]).columns["x"]
    assert found.kind is ColumnKind.CATEGORICAL
    assert found.as_categories().counts == {"1": 1, "2": 2, "broken": 1}
    read = found.as_numbers()
    assert (read.missing, read.unreadable, read.sketch and read.sketch.count) == (1, 1, 3)


def test_compressed_parts_keep_their_ranks_to_within_the_stated_error() -> None:
    values = np.random.default_rng(3).gamma(2.0, 1.0, 40_000)
    parts = [
        summarise(pa.table({"x": values[at : at + 4_000]}), names=["x"], points=256) for at in range(0, 40_000, 4_000)
    ]
    found = merge_summaries(parts).columns["x"].numbers
    assert found is not None
    assert found.rank_error == 160
    probes = np.quantile(values, np.linspace(0.01, 0.99, 99))
    exact = np.searchsorted(np.sort(values), probes, side="right")
    assert np.abs(found.cumulative(probes) - exact).max() <= found.rank_error


def test_repeated_rows_are_counted_and_beyond_a_number_sampled() -> None:
    few = _summary(_table(500, 2)).repeats
    assert few is not None
    table = _table(500, 2)
    assert few.repeated == 500 - len(
        {(a, b) for a, b in zip(table["whole"].to_pylist(), table["flag"].to_pylist(), strict=True)}
    )
    values = np.repeat(np.arange(30_000), 2)
    whole = summarise(pa.table({"x": values}), names=[], rows_of=["x"]).repeats
    halves = merge_summaries(
        [summarise(pa.table({"x": values[at::2]}), names=[], rows_of=["x"]) for at in range(2)]
    ).repeats
    assert whole is not None
    assert halves is not None
    assert (len(whole.hashes), whole.repeated) == (MOST_HASHES, MOST_HASHES)
    assert halves.hashes.tolist() == whole.hashes.tolist()
    assert halves.counts.tolist() == whole.counts.tolist()


def test_rows_are_the_same_whatever_type_their_numbers_have() -> None:
    whole, real = pa.table({"x": [1, 2, None]}), pa.table({"x": [1.0, 2.0, float("nan")]})
    found = [summarise(one, names=[], rows_of=["x"]).repeats for one in (whole, real)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].hashes.tolist() == found[1].hashes.tolist()


def test_a_summary_is_kept_as_bytes_and_read_back() -> None:
    summary = replace(_summary(_table(900, 4), points=64), late=3)
    assert summary_to_json(unpack(pack(summary))) == summary_to_json(summary)
    with pytest.raises(Corrupted):
        unpack(b"no summary")


def test_sketches_of_a_version_are_read_back_and_what_is_none_is_refused() -> None:
    rows = _table(300, 5)
    made = sketch_table(rows, features=["number", "text"], predictions=rows["whole"].combine_chunks())
    content = made.to_json()
    assert Sketches.from_json(content).to_json() == content
    assert isinstance(content, dict)
    wrong: list[JsonValue] = [
        {},
        {"inputs": {}, "outputs": None},
        {**content, "inputs": {"rows": 2, "columns": {"x": {}}}},
    ]
    for bad in wrong:
        with pytest.raises(InvalidInput):
            Sketches.from_json(bad)
    with pytest.raises(InvalidInput, match="no feature 'gone'"):
        sketch_table(rows, features=["gone"])
