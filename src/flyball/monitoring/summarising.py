"""Read a table once and summarise it: its columns as numbers or texts, and how its rows repeat each other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flyball.datasets.profile import ColumnKind
from flyball.measures.sketch import sketch_of
from flyball.monitoring.columns import category_text
from flyball.monitoring.summaries import (
    MOST_CATEGORIES,
    ColumnSummary,
    Repeats,
    TableSummary,
    count_repeats,
    spelled_numbers,
)

Hashes = NDArray[np.uint64]
# The finalizer of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_MISSING = np.uint64(0x9E3779B97F4A7C15)


def summarise(
    table: pa.Table, *, names: Sequence[str], rows_of: Sequence[str] = (), points: int | None = None
) -> TableSummary:
    """Summarise columns of a table of at least one row.

    Args:
        table: the rows; columns of lists are named as tensors and left alone.
        names: the columns to summarise.
        rows_of: the columns that make up a row where repeated rows are counted.
        points: how many points of a column of numbers are kept; all of them when not given.
    """
    listed = tuple(name for name in names if pa.types.is_nested(table.schema.field(name).type))
    plain = [name for name in names if name not in listed]
    return TableSummary(
        rows=table.num_rows,
        columns={name: summarise_column(table.column(name), points=points) for name in plain},
        repeats=repeated_rows(table, [name for name in rows_of if name not in listed]),
        tensors=listed,
    )


def summarise_column(column: pa.ChunkedArray, *, points: int | None = None) -> ColumnSummary:
    """Summarise a column of numbers, texts, truth values or times."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_temporal(kind):
        return _texts(column.cast(pa.string()), kind=ColumnKind.TIME, spelled=False)
    if pa.types.is_boolean(kind):
        return _texts(column, kind=ColumnKind.BOOLEAN, spelled=False)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _numbers(column, points)
    return _texts(column, kind=ColumnKind.CATEGORICAL, spelled=True)


def repeated_rows(table: pa.Table, names: Sequence[str]) -> Repeats | None:
    """Count how often the rows of some columns repeat each other; None without columns or rows."""
    if not names or not table.num_rows:
        return None
    total = np.zeros(table.num_rows, dtype=np.uint64)
    for name in names:
        total += _mixed(_bits(table.column(name)) ^ _hash_of(name))
    return count_repeats(_mixed(total))


def _numbers(column: pa.ChunkedArray, points: int | None) -> ColumnSummary:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    present = column.drop_null().cast(pa.float64(), safe=False).to_numpy()
    finite = present[np.isfinite(present)]
    rows = len(column)
    if not len(finite):
        return ColumnSummary(kind=ColumnKind.NUMERIC, rows=rows, missing=rows, distinct_count=0)
    sketch = sketch_of(finite).collapsed()
    return ColumnSummary(
        kind=ColumnKind.NUMERIC,
        rows=rows,
        missing=rows - len(finite),
        distinct_count=len(sketch.points),
        numbers=sketch if points is None else sketch.compressed(points),
    )


def _texts(column: pa.ChunkedArray, *, kind: ColumnKind, spelled: bool) -> ColumnSummary:
    present = column.drop_null()
    counts: dict[str, int] = {}
    for entry in pc.value_counts(present.combine_chunks()).to_pylist():
        counts[category_text(entry["values"])] = entry["counts"]
    numbers, unreadable = spelled_numbers(counts) if spelled else (None, len(present))
    few = len(counts) <= MOST_CATEGORIES
    return ColumnSummary(
        kind=kind if few or kind is ColumnKind.TIME else ColumnKind.TEXT,
        rows=len(column),
        missing=len(column) - len(present),
        distinct_count=len(counts),
        numbers=numbers,
        counts=counts if few else None,
        unreadable=unreadable,
    )


def _bits(column: pa.ChunkedArray) -> Hashes:
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = column.cast(pa.float64(), safe=False).to_numpy() + 0.0  # no minus zero
        bits: Hashes = np.asarray(np.where(np.isfinite(values), values, np.nan), dtype=np.float64).view(np.uint64)
        return bits
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
    words = [_hash_of(text) for text in encoded.dictionary.to_pylist()]
    found: Hashes = np.array([*words, _MISSING], dtype=np.uint64)[codes]
    return found


def _mixed(values: Hashes) -> Hashes:
    mixed = (values ^ (values >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return mixed ^ (mixed >> np.uint64(31))


def _hash_of(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))
