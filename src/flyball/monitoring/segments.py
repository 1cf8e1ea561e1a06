"""Segments as Parquet: write a batch, read the rows of a span from several, join the labels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flyball.kernel.errors import Corrupted
from flyball.monitoring.entities import LabelValue, Segment
from flyball.monitoring.label_columns import LabelColumns
from flyball.monitoring.schema import FIXED, LABEL, PREDICTION, SCORE

LABEL_TIME = "label_time_ms"
ARRIVAL = "arrival"


def segment_bytes(table: pa.Table) -> bytes:
    """Encode a batch as one Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def read_span(path: Path, *, start_ms: int, end_ms: int, columns: Sequence[str] | None) -> pa.Table:
    """Read the rows of a span from one segment; columns that it does not have are left out."""
    with pq.ParquetFile(path) as file:
        wanted = [name for name in file.schema_arrow.names if columns is None or name in columns]
        if file.num_row_groups <= 1:  # most segments; looking for the groups that matter would cost more than it saves
            return rows_within(file.read(columns=wanted, use_threads=False), start_ms=start_ms, end_ms=end_ms)
    within = (pc.field("time_ms") >= start_ms) & (pc.field("time_ms") < end_ms)
    return pq.read_table(path, columns=wanted, filters=within)


def rows_within(table: pa.Table, *, start_ms: int, end_ms: int) -> pa.Table:
    """Return the rows of a span; the table itself where all are."""
    times = table.column("time_ms").to_numpy()
    inside = (times >= start_ms) & (times < end_ms)
    return table if inside.all() else table.filter(pa.array(inside))


def read_arrivals(
    path: Path, segments: Sequence[Segment], *, wanted: Collection[int], columns: Callable[[str], bool]
) -> pa.Table:
    """Read the rows of some of a file's segments, each with its `arrival`; `columns` tells which columns are wanted.

    Raises:
        Corrupted: the file holds other rows than its segments have.
    """
    with pq.ParquetFile(path) as file:
        table = file.read(columns=[name for name in file.schema_arrow.names if columns(name)], use_threads=False)
    arrivals = np.repeat([one.arrival for one in segments], [one.row_count for one in segments])
    if len(arrivals) != table.num_rows:
        raise Corrupted(f"segment {segments[0].digest} holds {table.num_rows} rows, and {len(arrivals)} are noted")
    table = table.append_column(ARRIVAL, pa.array(arrivals, type=pa.int64()))
    mine = np.isin(arrivals, list(wanted))
    return table if mine.all() else table.filter(pa.array(mine))


def stack(tables: Sequence[pa.Table]) -> pa.Table:
    """Put segments under each other, whatever features and types each of them has.

    A column that is missing in one of them is null there. Two number types become float64; any other mixture becomes text,
    so that a change of type in the middle of a span can still be seen and named.
    """
    if tables and all(table.schema.equals(tables[0].schema) for table in tables):
        return pa.concat_tables(tables).combine_chunks()
    types: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            types.setdefault(field.name, set()).add(field.type)
    schema = pa.schema([pa.field(name, _common(found)) for name, found in types.items()])
    parts = [_fit(table, schema) for table in tables]
    return pa.concat_tables(parts).combine_chunks() if parts else _empty()


def sort_by_time(table: pa.Table) -> pa.Table:
    """Order rows by event time, then by id, so that equal logs read equally."""
    return table.sort_by([("time_ms", "ascending"), ("prediction_id", "ascending"), ("version", "ascending")])


def join_labels(table: pa.Table, labels: LabelColumns) -> pa.Table:
    """Append `label` (null where there is none, else of the prediction's type) and `label_time_ms`."""
    kind = _label_type(table, labels.values)
    text = pa.types.is_string(kind)
    values = pa.array(list(map(str, labels.values)) if text else labels.values, type=kind)
    times = pa.array(labels.times_ms, type=pa.int64())
    names = pa.array(labels.prediction_ids, type=pa.string())
    places = pc.index_in(table.column("prediction_id"), value_set=names)
    return table.append_column(LABEL, values.take(places)).append_column(LABEL_TIME, times.take(places))


def _label_type(table: pa.Table, values: Sequence[LabelValue]) -> pa.DataType:
    kind = table.schema.field(PREDICTION).type
    if pa.types.is_integer(kind) and not all(float(value).is_integer() for value in {*values}):
        return pa.float64()
    return kind


def _common(found: set[pa.DataType]) -> pa.DataType:
    if len(found) == 1:
        return next(iter(found))
    if all(pa.types.is_list(kind) for kind in found):
        return pa.list_(_common({kind.value_type for kind in found}))
    numbers = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in found)
    return pa.float64() if numbers else pa.string()


def _fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _empty() -> pa.Table:
    schema = pa.schema([*FIXED.items(), (PREDICTION, pa.float64()), (SCORE, pa.float64())])
    return schema.empty_table()
