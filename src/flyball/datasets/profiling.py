"""Describe a table: a pure function from rows to a profile."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from flyball.datasets.normal_form import normal_column
from flyball.datasets.profile import ColumnKind, ColumnProfile, Profile, TopValue

LEVELS = np.linspace(0.0, 1.0, 101)
BINS = 30
# Text with more different values than this is described as text: its values are names or sentences, not classes.
CATEGORIES = 100
# A value this long is no class, and a profile is no place for documents.
CATEGORY_LENGTH = 256
# Beyond these, sums and squares of float64 leave its range; such columns are described in other units.
SAFE_SMALLEST, SAFE_LARGEST = 1e-150, 1e150

DAY_MS = 86_400_000
TICKS_PER_MS = {"us": 1_000, "ns": 1_000_000}

Floats = npt.NDArray[np.float64]


def profile_table(table: pa.Table) -> Profile:
    """Describe every column of a table.

    Raises:
        Unsupported: a column is neither numbers, booleans, text nor times.
    """
    columns = [_profile_column(name, column) for name, column in zip(table.column_names, table.columns, strict=True)]
    return Profile(row_count=table.num_rows, columns=tuple(columns))


def _profile_column(name: str, column: pa.ChunkedArray) -> ColumnProfile:
    column = normal_column(name, column)
    if pa.types.is_string(column.type):
        return _profile_text(name, column)
    if pa.types.is_temporal(column.type):
        return _profile_time(name, column)
    if pa.types.is_boolean(column.type):
        return _profile_boolean(name, column)
    return _profile_numbers(name, column)


def _profile_numbers(name: str, column: pa.ChunkedArray) -> ColumnProfile:
    wide = column.cast(pa.float64(), safe=False)
    there = pc.fill_null(pc.is_finite(wide), fill_value=False)
    values = np.sort(wide.filter(there).to_numpy())
    distinct_count = _count_distinct(column.filter(there))
    empty = ColumnProfile(
        name=name,
        kind=ColumnKind.NUMERIC,
        count=len(values),
        missing_count=len(column) - len(values),
        distinct_count=distinct_count,
    )
    return _with_numbers(empty, values) if len(values) else empty


def _with_numbers(profile: ColumnProfile, values: Floats) -> ColumnProfile:
    unit = _unit(values)
    scaled, (low, high) = values / unit, (float(values[0]), float(values[-1]))
    edges = np.unique(np.linspace(scaled[0], scaled[-1], BINS + 1)) if scaled[0] < scaled[-1] else scaled[[0, -1]]
    counts, _edges = np.histogram(scaled, bins=edges)
    quantiles = np.maximum.accumulate(np.quantile(scaled, LEVELS))  # straight lines round, and may step back by one bit
    return dataclasses.replace(
        profile,
        minimum=low,
        maximum=high,
        mean=float(np.clip(scaled.mean() * unit, low, high)),
        std=float(scaled.std() * unit) if low < high else 0.0,
        quantiles=_between(low, high, quantiles * unit),
        edges=_between(low, high, edges * unit),
        counts=tuple(int(count) for count in counts),
        top=_top(pa.chunked_array([pa.array(values)])) if profile.distinct_count <= CATEGORIES else (),
    )


def _unit(values: Floats) -> float:
    """Return 1, or for values near the ends of float64 a power of two near the largest: dividing by one is exact."""
    largest = float(max(abs(values[0]), abs(values[-1])))
    if largest == 0.0 or SAFE_SMALLEST < largest < SAFE_LARGEST:
        return 1.0
    return math.ldexp(1.0, math.frexp(largest)[1] - 1)


def _profile_boolean(name: str, column: pa.ChunkedArray) -> ColumnProfile:
    count = len(column) - column.null_count
    mean = pc.mean(column).as_py()
    return ColumnProfile(
        name=name,
        kind=ColumnKind.BOOLEAN,
        count=count,
        missing_count=column.null_count,
        distinct_count=_count_distinct(column),
        mean=None if mean is None else float(mean),
        top=_top(column),
    )


def _profile_text(name: str, column: pa.ChunkedArray) -> ColumnProfile:
    distinct_count = _count_distinct(column)
    longest = pc.max(pc.utf8_length(column)).as_py() or 0
    categorical = distinct_count <= CATEGORIES and longest <= CATEGORY_LENGTH
    short = column.filter(pc.less_equal(pc.utf8_length(column), CATEGORY_LENGTH))
    return ColumnProfile(
        name=name,
        kind=ColumnKind.CATEGORICAL if categorical else ColumnKind.TEXT,
        count=len(column) - column.null_count,
        missing_count=column.null_count,
        distinct_count=distinct_count,
        top=_top(short),
    )


def _profile_time(name: str, column: pa.ChunkedArray) -> ColumnProfile:
    ends = pc.min_max(column.cast(pa.int32() if pa.types.is_date(column.type) else pa.int64()))
    return ColumnProfile(
        name=name,
        kind=ColumnKind.TIME,
        count=len(column) - column.null_count,
        missing_count=column.null_count,
        distinct_count=_count_distinct(column),
        minimum=_milliseconds(ends["min"].as_py(), column.type),
        maximum=_milliseconds(ends["max"].as_py(), column.type),
    )


def _milliseconds(ticks: int | None, kind: pa.DataType) -> float | None:
    if ticks is None:
        return None
    if pa.types.is_date(kind):
        return float(ticks * DAY_MS)
    return ticks / TICKS_PER_MS[kind.unit]


def _count_distinct(column: pa.ChunkedArray) -> int:
    return int(pc.count_distinct(column, mode="only_valid").as_py())


def _top(column: pa.ChunkedArray) -> tuple[tuple[TopValue, int], ...]:
    counted = pc.value_counts(column.drop_null())
    ranking = pa.table({"value": counted.field("values"), "count": counted.field("counts")})
    order = pc.sort_indices(ranking, sort_keys=[("count", "descending"), ("value", "ascending")])
    best = ranking.take(order[:CATEGORIES])
    return tuple(zip(best["value"].to_pylist(), best["count"].to_pylist(), strict=True))


def _between(low: float, high: float, values: Floats) -> tuple[float, ...]:
    """Return values with exact ends: near the ends of float64, a small one is lost in the unit of a large one."""
    inner = np.clip(values[1:-1], low, high).tolist()
    return (low, *inner, high)
