"""Build the query that finds runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, Table, and_, case, exists, select, true

from flyball.tracking.entities import View
from flyball.tracking.search import Clause, Field, Ordering
from flyball.tracking.sql.filters import compare, compare_metric, in_code_order, presence
from flyball.tracking.sql.numbers import experiment_numbers
from flyball.tracking.tables import logged_datasets, metric_series, run_datasets, run_params, run_tags, runs

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
_KEYED: Mapping[Field, Table] = {Field.METRIC: metric_series, Field.PARAM: run_params, Field.TAG: run_tags}


class RunSearch:
    """Clauses become EXISTS on the keyed tables; each key to sort by becomes one outer join of at most one row."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect

    def query(
        self, experiment_ids: Sequence[str], clauses: Sequence[Clause], *, view: View, order: Sequence[Ordering]
    ) -> Select[tuple[str]]:
        """Return the query for the ids of the runs in their order."""
        conditions = [self._condition(clause) for clause in clauses]
        query = select(runs.c.run_id).where(
            runs.c.experiment_id.in_(experiment_numbers(experiment_ids)),
            runs.c.lifecycle.in_(view.lifecycles),
            *conditions,
        )
        keys: list[ColumnElement[Any]] = []
        source: Any = runs
        for at, item in enumerate(order):
            if item.field is Field.ATTRIBUTE:
                keys += self._attribute_keys(item)
                continue
            joined = _KEYED[item.field].alias(f"order_{at}")
            source = source.outerjoin(joined, and_(joined.c.run_id == runs.c.run_id, joined.c.key == item.key))
            keys += self._joined_keys(item, joined)
        if not any(item.key == "start_time" and item.field is Field.ATTRIBUTE for item in order):
            keys.append(runs.c.start_ms.desc())
        return query.select_from(source).order_by(*keys, runs.c.run_id)

    def _condition(self, clause: Clause) -> ColumnElement[bool]:
        if clause.field is Field.ATTRIBUTE:
            return compare(_COLUMNS[clause.key], clause.operator, clause.value, dialect=self._dialect)
        if clause.field is Field.DATASET:
            return self._dataset(clause)
        table = _KEYED[clause.field]
        mine = and_(table.c.run_id == runs.c.run_id, table.c.key == clause.key)
        there = presence(clause, exists().where(mine))
        if there is not None:
            return there
        if clause.field is Field.METRIC:
            return exists().where(mine, compare_metric(metric_series, clause.operator, clause.value))
        return exists().where(mine, compare(table.c.value, clause.operator, clause.value, dialect=self._dialect))

    def _dataset(self, clause: Clause) -> ColumnElement[bool]:
        compared = compare(_DATASET_COLUMNS[clause.key], clause.operator, clause.value, dialect=self._dialect)
        linked = run_datasets.c.dataset_id == logged_datasets.c.dataset_id
        return exists().where(run_datasets.c.run_id == runs.c.run_id, linked, compared)

    def _attribute_keys(self, item: Ordering) -> list[ColumnElement[Any]]:
        column = _COLUMNS[item.key]
        return [case((column.is_(None), 1), else_=0), self._directed(column, item)]

    def _joined_keys(self, item: Ordering, joined: FromClause) -> list[ColumnElement[Any]]:
        missing = (joined.c.run_id.is_(None), 2)
        if item.field is Field.METRIC:
            return [case(missing, (joined.c.is_nan == true(), 1), else_=0), self._directed(joined.c.value, item)]
        return [case(missing, else_=0), self._directed(joined.c.value, item)]

    def _directed(self, column: ColumnElement[Any], item: Ordering) -> ColumnElement[Any]:
        ordered = in_code_order(column, dialect=self._dialect)
        return ordered.asc() if item.ascending else ordered.desc()
