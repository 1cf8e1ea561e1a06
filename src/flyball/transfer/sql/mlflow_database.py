"""A tracking database of MLflow as a source, read at one moment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, func, inspect, select, table, true
from sqlalchemy.exc import DBAPIError

from flyball.tracking.entities import (
    Experiment,
    ExperimentId,
    Lifecycle,
    LoggedModel,
    Metric,
    ModelId,
    ModelStatus,
    RunId,
)
from flyball.transfer.entities import Census, FoundModel, FoundRun, SourceDescription
from flyball.transfer.ports import FileSource
from flyball.transfer.sql.mlflow_opening import (
    connection_fault,
    open_engine,
    parse_database_url,
    read_revision,
    read_tables,
)
from flyball.transfer.sql.mlflow_registry import MlflowRegistry
from flyball.transfer.sql.mlflow_runs import MlflowRuns
from flyball.transfer.sql.mlflow_schema import DEFAULT_WORKSPACE, INTERNAL, NAMES, TAKEN
from flyball.transfer.sql.snapshot import snapshot

# MLflow keeps the state of a logged model as the number of its protocol.
STATUSES = {1: ModelStatus.PENDING, 2: ModelStatus.READY, 3: ModelStatus.FAILED}


class MlflowDatabase:
    """The source behind a database URL."""

    def __init__(self, url_text: str, *, files: FileSource) -> None:
        url = parse_database_url(url_text)
        name = url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)
        self._open = ExitStack()
        self._files = files
        engine = open_engine(url)
        self._open.callback(engine.dispose)
        try:
            self._connection: Connection = self._open.enter_context(snapshot(engine))
            revision = read_revision(self._connection, name)
        except DBAPIError as error:
            self._open.close()
            raise connection_fault(error, name) from error
        except BaseException:
            self._open.close()
            raise
        self._tables = read_tables(self._connection)
        self._runs = MlflowRuns(self._connection, self._tables)
        self._registry = MlflowRegistry(self._connection, self._tables)
        self._description = SourceDescription(name=name, kind="MLflow database", detail={"revision": revision})

    @property
    def description(self) -> SourceDescription:
        return self._description

    @property
    def files(self) -> FileSource:
        return self._files

    def census(self) -> Census:
        return Census(
            experiments=self._count("experiments", self._mine()),
            runs=self._count("runs"),
            logged_models=self._count("logged_models") if "logged_models" in self._tables else 0,
            registered_models=self._registry.count(),
        )

    def experiments(self) -> Iterator[Experiment]:
        found = self._tables["experiments"]
        for row in self._connection.execute(select(found).where(self._mine()).order_by(found.c.experiment_id)).all():
            yield Experiment(
                experiment_id=ExperimentId(str(row.experiment_id)),
                name=row.name,
                artifact_location=row.artifact_location or "",
                lifecycle=Lifecycle(row.lifecycle_stage or "active"),
                created_ms=row.creation_time or 0,
                updated_ms=row.last_update_time or row.creation_time or 0,
                tags=self._texts("experiment_tags", "experiment_id", row.experiment_id, key="key", value="value"),
            )

    def runs(self, experiment_id: str) -> Iterator[FoundRun]:
        return self._runs.of(int(experiment_id))

    def logged_models(self, experiment_id: str) -> Iterator[LoggedModel]:
        if "logged_models" not in self._tables:
            return
        found = self._tables["logged_models"]
        mine = select(found).where(found.c.experiment_id == int(experiment_id)).order_by(found.c.model_id)
        for row in self._connection.execute(mine).all():
            yield self._logged_model(row)

    def registered_models(self) -> Iterator[FoundModel]:
        return self._registry.models()

    def not_taken(self) -> Mapping[str, int]:
        left: dict[str, int] = {}
        for name in sorted(set(inspect(self._connection).get_table_names()) - TAKEN - INTERNAL):
            count = int(self._connection.execute(select(func.count()).select_from(table(name))).scalar_one())
            left[NAMES.get(name, name.replace("_", " "))] = count
        left["status messages of model versions"] = self._registry.status_messages()
        for name in ("experiments", "registered_models"):
            found = self._tables[name]
            if "workspace" in found.c:
                other = self._count(name, found.c.workspace != DEFAULT_WORKSPACE)
                left[f"{name.replace('_', ' ')} of other workspaces"] = other
        return {name: count for name, count in left.items() if count}

    def damaged(self) -> Sequence[str]:
        return ()

    def close(self) -> None:
        self._open.close()

    def _mine(self) -> ColumnElement[bool]:
        found = self._tables["experiments"].c
        return found.workspace == DEFAULT_WORKSPACE if "workspace" in found else true()

    def _count(self, name: str, condition: ColumnElement[bool] | None = None) -> int:
        query = select(func.count()).select_from(self._tables[name])
        return int(self._connection.execute(query if condition is None else query.where(condition)).scalar_one())

    def _texts(self, name: str, owner: str, of: object, *, key: str, value: str) -> dict[str, str]:
        found: Table = self._tables[name]
        query = select(found.c[key], found.c[value]).where(found.c[owner] == of)
        return {row[0]: row[1] or "" for row in self._connection.execute(query)}

    def _logged_model(self, row: Row[Any]) -> LoggedModel:
        model_id = row.model_id
        return LoggedModel(
            model_id=ModelId(model_id),
            experiment_id=ExperimentId(str(row.experiment_id)),
            name=row.name,
            artifact_uri=row.artifact_location,
            status=STATUSES.get(row.status, ModelStatus.FAILED),
            status_message=row.status_message or "",
            model_type=row.model_type or "",
            source_run_id=RunId(row.source_run_id) if row.source_run_id else None,
            lifecycle=Lifecycle(row.lifecycle_stage or "active"),
            created_ms=row.creation_timestamp_ms,
            updated_ms=row.last_updated_timestamp_ms,
            tags=self._texts("logged_model_tags", "model_id", model_id, key="tag_key", value="tag_value"),
            params=self._texts("logged_model_params", "model_id", model_id, key="param_key", value="param_value"),
            metrics=tuple(self._metrics(model_id)),
        )

    def _metrics(self, model_id: str) -> Iterator[Metric]:
        found = self._tables["logged_model_metrics"]
        mine = select(found).where(found.c.model_id == model_id)
        for row in self._connection.execute(mine.order_by(found.c.metric_name, found.c.metric_timestamp_ms)):
            yield Metric(
                key=row.metric_name,
                value=math.nan if row.metric_value is None else row.metric_value,
                timestamp_ms=row.metric_timestamp_ms,
                step=row.metric_step,
                model_id=model_id,
                dataset_name=row.dataset_name,
                dataset_digest=row.dataset_digest,
                run_id=row.run_id,
            )
