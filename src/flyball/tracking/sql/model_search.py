"""Build the query that finds logged models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, case, exists, func, or_, select, true

from flyball.tracking.entities import Lifecycle
from flyball.tracking.search import Clause, Field, Ordering
from flyball.tracking.sql.filters import compare, compare_metric, in_code_order, presence
from flyball.tracking.sql.numbers import experiment_numbers
from flyball.tracking.tables import logged_model_metrics, logged_model_params, logged_model_tags, logged_models

_COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "name": logged_models.c.name,
    "model_id": logged_models.c.model_id,
    "model_type": logged_models.c.model_type,
    "status": logged_models.c.status,
    # A model of no run is unequal to every run.
    "source_run_id": func.coalesce(logged_models.c.source_run_id, ""),
    "creation_timestamp": logged_models.c.created_ms,
    "last_updated_timestamp": logged_models.c.updated_ms,
}
_KEYED: Mapping[Field, Table] = {Field.PARAM: logged_model_params, Field.TAG: logged_model_tags}


class ModelSearch:
    """A search in which only the metrics on the given datasets count, where there are any."""

    def __init__(self, dialect: str, datasets: Sequence[tuple[str, str | None]]) -> None:
        self._dialect = dialect
        self._on_datasets = or_(*(_on_dataset(item) for item in datasets)) if datasets else true()
        self._narrowed = bool(datasets)

    def query(
        self, experiment_ids: Sequence[str], clauses: Sequence[Clause], *, order: Sequence[Ordering]
    ) -> Select[tuple[object, ...]]:
        """Return the query for the models in their order: newest first where nothing else is asked for."""
        conditions = [self._condition(clause) for clause in clauses]
        if self._narrowed and not any(clause.field is Field.METRIC for clause in clauses):
            conditions.append(exists().where(_own(logged_model_metrics), self._on_datasets))
        keys = [key for item in order for key in self._keys(item)]
        return (
            select(logged_models)
            .where(
                logged_models.c.experiment_id.in_(experiment_numbers(experiment_ids)),
                logged_models.c.lifecycle == Lifecycle.ACTIVE,
                *conditions,
            )
            .order_by(*keys, logged_models.c.created_ms.desc(), logged_models.c.model_id)
        )

    def _condition(self, clause: Clause) -> ColumnElement[bool]:
        if clause.field is Field.ATTRIBUTE:
            return compare(_COLUMNS[clause.key], clause.operator, clause.value, dialect=self._dialect)
        if clause.field is Field.METRIC:
            columns = logged_model_metrics.c
            compared = compare_metric(logged_model_metrics, clause.operator, clause.value)
            return exists().where(_own(logged_model_metrics), columns.key == clause.key, self._on_datasets, compared)
        table = _KEYED[clause.field]
        mine = and_(_own(table), table.c.key == clause.key)
        there = presence(clause, exists().where(mine))
        if there is not None:
            return there
        return exists().where(mine, compare(table.c.value, clause.operator, clause.value, dialect=self._dialect))

    def _keys(self, item: Ordering) -> list[ColumnElement[Any]]:
        column = _latest(item) if item.field is Field.METRIC else _COLUMNS[item.key]
        ordered = in_code_order(column, dialect=self._dialect)
        return [case((column.is_(None), 1), else_=0), ordered.asc() if item.ascending else ordered.desc()]


def _own(table: Table) -> ColumnElement[bool]:
    return table.c.model_id == logged_models.c.model_id


def _on_dataset(dataset: tuple[str | None, str | None]) -> ColumnElement[bool]:
    name, digest = dataset
    columns = logged_model_metrics.c
    return and_(
        true() if name is None else columns.dataset_name == name,
        true() if digest is None else columns.dataset_digest == digest,
    )


def _latest(item: Ordering) -> ColumnElement[Any]:
    """Return the newest value of a metric that is a number."""
    columns = logged_model_metrics.c
    narrowed = _on_dataset(item.dataset) if item.dataset else true()
    return (
        select(columns.value)
        .where(_own(logged_model_metrics), columns.key == item.key, ~columns.is_nan, narrowed)
        .order_by(columns.timestamp_ms.desc(), columns.step.desc(), columns.run_id)
        .limit(1)
        .scalar_subquery()
    )
