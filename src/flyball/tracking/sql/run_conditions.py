"""Clauses and orders of a search of runs as conditions and keys of SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, Table, and_, case, exists, select, true

from flyball.tracking.search import Clause, Field, Operator, Ordering
from flyball.tracking.sql.filters import compare, compare_metric, in_code_order, presence
from flyball.tracking.tables import (
    INDEXED_LENGTH,
    beginning,
    logged_datasets,
    metric_series,
    run_datasets,
    run_params,
    run_tags,
    runs,
)

_COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "run_id": runs.c.run_id,
    "run_name": runs.c.name,
    "user_id": runs.c.user_id,
    "status": runs.c.status,
    "artifact_uri": runs.c.artifact_uri,
    "start_time": runs.c.start_ms,
    "end_time": runs.c.end_ms,
}
_DATASET_COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "name": logged_datasets.c.name,
    "digest": logged_datasets.c.digest,
    "context": run_datasets.c.context,
}
KEYED: Mapping[Field, Table] = {Field.METRIC: metric_series, Field.PARAM: run_params, Field.TAG: run_tags}
_RANGES = frozenset({Operator.EQ, Operator.GT, Operator.GE, Operator.LT, Operator.LE})


class RunConditions:
    """Clauses become EXISTS on the keyed tables, each of which meets at most one row of a run."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect

    def of(self, clause: Clause) -> ColumnElement[bool]:
        """Return what a clause asks of a row of `runs`."""
        if clause.field is Field.ATTRIBUTE:
            return compare(_COLUMNS[clause.key], clause.operator, clause.value, dialect=self._dialect)
        if clause.field is Field.DATASET:
            return self._dataset(clause)
        # Under a name of its own: the search around it may walk along the same table.
        table = KEYED[clause.field].alias("held")
        mine = and_(table.c.run_id == runs.c.run_id, table.c.key == clause.key)
        there = presence(clause, exists().where(mine))
        if there is not None:
            return there
        return exists().where(mine, self._compared(table, clause))

    def driver(self, clause: Clause, experiments: Sequence[int]) -> Select[tuple[str]]:
        """Return the ids of the runs that an indexed clause holds for, to begin a search with."""
        table = KEYED[clause.field]
        return select(table.c.run_id).where(table.c.experiment_id.in_(experiments), *indexed(clause))

    def _compared(self, table: FromClause, clause: Clause) -> ColumnElement[bool]:
        if clause.field is Field.METRIC:
            return compare_metric(table, clause.operator, clause.value)
        return compare(table.c.value, clause.operator, clause.value, dialect=self._dialect)

    def _dataset(self, clause: Clause) -> ColumnElement[bool]:
        compared = compare(_DATASET_COLUMNS[clause.key], clause.operator, clause.value, dialect=self._dialect)
        linked = run_datasets.c.dataset_id == logged_datasets.c.dataset_id
        return exists().where(run_datasets.c.run_id == runs.c.run_id, linked, compared)


def is_indexed(clause: Clause) -> bool:
    """Tell whether the index of values knows a clause: equality for text, any range for metrics."""
    if clause.field is Field.METRIC:
        return clause.operator in _RANGES
    return clause.field in KEYED and clause.operator is Operator.EQ


def indexed(clause: Clause) -> list[ColumnElement[bool]]:
    """Return what a clause asks of the index of values, apart from the experiment.

    Only the beginning of a text is indexed. A short one is told by it; of a long one the whole is compared as well, but as an
    expression: SQLite would put a value that it knows to be equal into the indexed expression, and miss the index.
    """
    table = KEYED[clause.field]
    key = table.c.key == clause.key
    if clause.field is Field.METRIC:
        return [key, table.c.is_nan.is_(False), compare(table.c.value, clause.operator, clause.value, dialect="")]
    value = str(clause.value)
    begins = beginning(table) == value[:INDEXED_LENGTH]
    return [key, begins] if len(value) < INDEXED_LENGTH else [key, begins, table.c.value + "" == value]


def order_keys(order: Sequence[Ordering], dialect: str) -> tuple[FromClause, list[ColumnElement[Any]]]:
    """Return the tables and the keys of a sort: each key of a run becomes one outer join of at most one row."""
    source: Any = runs
    keys: list[ColumnElement[Any]] = []
    for at, item in enumerate(order):
        if item.field is Field.ATTRIBUTE:
            column = _COLUMNS[item.key]
            keys += [case((column.is_(None), 1), else_=0), _directed(column, item, dialect)]
            continue
        joined = KEYED[item.field].alias(f"order_{at}")
        source = source.outerjoin(joined, and_(joined.c.run_id == runs.c.run_id, joined.c.key == item.key))
        missing = (joined.c.run_id.is_(None), 2)
        nan = [(joined.c.is_nan == true(), 1)] if item.field is Field.METRIC else []
        keys += [case(missing, *nan, else_=0), _directed(joined.c.value, item, dialect)]
    if not any(item.key == "start_time" and item.field is Field.ATTRIBUTE for item in order):
        keys.append(runs.c.start_ms.desc())
    return source, keys


def _directed(column: ColumnElement[Any], item: Ordering, dialect: str) -> ColumnElement[Any]:
    ordered = in_code_order(column, dialect=dialect)
    return ordered.asc() if item.ascending else ordered.desc()
