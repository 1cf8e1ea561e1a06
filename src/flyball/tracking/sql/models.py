"""Logged models on a database."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, and_, delete, insert, select, update

from flyball.kernel.db import Database
from flyball.tracking.entities import ExperimentId, Lifecycle, LoggedModel, Metric, ModelId, ModelStatus, RunId
from flyball.tracking.search import Clause, Ordering
from flyball.tracking.sql.model_search import ModelSearch
from flyball.tracking.sql.run_loading import number
from flyball.tracking.sql.statements import chunks, insert_missing, put_values
from flyball.tracking.tables import logged_model_metrics, logged_model_params, logged_model_tags, logged_models


class SqlModelStore:
    """Logged models as rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, model: LoggedModel) -> None:
        row = {
            "model_id": model.model_id,
            "experiment_id": int(model.experiment_id),
            "name": model.name,
            "artifact_uri": model.artifact_uri,
            "model_type": model.model_type,
            "source_run_id": model.source_run_id,
            "created_ms": model.created_ms,
            **_changeable(model),
        }
        with self._database.transaction() as connection:
            connection.execute(insert(logged_models), row)
            self.put_tags(model.model_id, model.tags)
            self.add_params(model.model_id, model.params)

    def find(self, model_id: str) -> LoggedModel | None:
        with self._database.read() as connection:
            rows = connection.execute(select(logged_models).where(logged_models.c.model_id == model_id)).all()
            found = _load(connection, rows)
        return found[0] if found else None

    def update(self, model: LoggedModel) -> None:
        changed = update(logged_models).where(logged_models.c.model_id == model.model_id)
        with self._database.transaction() as connection:
            connection.execute(changed.values(**_changeable(model)))

    def put_tags(self, model_id: str, tags: Mapping[str, str]) -> None:
        with self._database.transaction() as connection:
            put_values(connection, logged_model_tags, _keyed_rows(model_id, tags))

    def delete_tag(self, model_id: str, key: str) -> bool:
        mine = and_(logged_model_tags.c.model_id == model_id, logged_model_tags.c.key == key)
        with self._database.transaction() as connection:
            return connection.execute(delete(logged_model_tags).where(mine)).rowcount > 0

    def add_params(self, model_id: str, params: Mapping[str, str]) -> None:
        with self._database.transaction() as connection:
            insert_missing(connection, logged_model_params, _keyed_rows(model_id, params))

    def add_metrics(self, metrics: Sequence[Metric]) -> None:
        with self._database.transaction() as connection:
            insert_missing(connection, logged_model_metrics, [_metric_row(metric) for metric in metrics])

    def search(
        self,
        experiment_ids: Sequence[str],
        clauses: Sequence[Clause],
        *,
        datasets: Sequence[tuple[str, str | None]],
        order: Sequence[Ordering],
        offset: int,
        limit: int,
    ) -> list[LoggedModel]:
        search = ModelSearch(self._database.dialect, datasets)
        query = search.query(experiment_ids, clauses, order=order).offset(offset).limit(limit)
        with self._database.read() as connection:
            return _load(connection, connection.execute(query).all())


def _changeable(model: LoggedModel) -> dict[str, object]:
    return {
        "status": model.status,
        "status_message": model.status_message,
        "lifecycle": model.lifecycle,
        "updated_ms": model.updated_ms,
    }


def _keyed_rows(model_id: str, values: Mapping[str, str]) -> list[dict[str, object]]:
    return [{"model_id": model_id, "key": key, "value": value} for key, value in values.items()]


def _metric_row(metric: Metric) -> dict[str, object]:
    is_nan = math.isnan(metric.value)
    return {
        "model_id": metric.model_id,
        "key": metric.key,
        "timestamp_ms": metric.timestamp_ms,
        "step": metric.step,
        "run_id": metric.run_id,
        "value": 0.0 if is_nan else metric.value,
        "is_nan": is_nan,
        "dataset_name": metric.dataset_name or "",
        "dataset_digest": metric.dataset_digest or "",
    }


def _load(connection: Connection, rows: Sequence[Row[Any]]) -> list[LoggedModel]:
    ids = [row.model_id for row in rows]
    tags = _texts(connection, logged_model_tags, ids)
    params = _texts(connection, logged_model_params, ids)
    metrics: defaultdict[str, list[Metric]] = defaultdict(list)
    for piece in chunks(ids):
        table = logged_model_metrics.c
        wanted = select(logged_model_metrics).where(table.model_id.in_(piece))
        for row in connection.execute(wanted.order_by(table.model_id, table.key, table.step, table.timestamp_ms)):
            metrics[row.model_id].append(_metric(row))
    return [
        _model(row, tags.get(row.model_id, {}), params.get(row.model_id, {}), tuple(metrics.get(row.model_id, ())))
        for row in rows
    ]


def _texts(connection: Connection, table: Table, ids: Sequence[str]) -> Mapping[str, dict[str, str]]:
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for piece in chunks(ids):
        wanted = select(table).where(table.c.model_id.in_(piece)).order_by(table.c.model_id, table.c.key)
        for row in connection.execute(wanted):
            found[row.model_id][row.key] = row.value
    return found


def _metric(row: Row[Any]) -> Metric:
    return Metric(
        key=row.key,
        value=number(row),
        timestamp_ms=row.timestamp_ms,
        step=row.step,
        model_id=row.model_id,
        dataset_name=row.dataset_name or None,
        dataset_digest=row.dataset_digest or None,
        run_id=row.run_id,
    )


def _model(
    row: Row[Any], tags: Mapping[str, str], params: Mapping[str, str], metrics: tuple[Metric, ...]
) -> LoggedModel:
    return LoggedModel(
        model_id=ModelId(row.model_id),
        experiment_id=ExperimentId(str(row.experiment_id)),
        name=row.name,
        artifact_uri=row.artifact_uri,
        status=ModelStatus(row.status),
        status_message=row.status_message,
        model_type=row.model_type,
        source_run_id=RunId(row.source_run_id) if row.source_run_id else None,
        lifecycle=Lifecycle(row.lifecycle),
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
        tags=tags,
        params=params,
        metrics=metrics,
    )
