"""Load runs with all that they logged, in a fixed number of statements for each few hundred runs."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from flyball.tracking.entities import (
    DatasetInput,
    ExperimentId,
    Lifecycle,
    LoggedDataset,
    Metric,
    MetricSummary,
    ModelId,
    ModelOutput,
    Run,
    RunId,
    RunInfo,
    RunStatus,
)
from flyball.tracking.sql.statements import chunks
from flyball.tracking.tables import logged_datasets, metric_series, run_datasets, run_models, run_params, run_tags, runs

INPUT = "input"
OUTPUT = "output"


def load_runs(connection: Connection, run_ids: Sequence[str]) -> list[Run]:
    """Return the runs in the order asked for; unknown ids are left out."""
    found: dict[str, Run] = {}
    for ids in chunks(run_ids):
        found |= _load(connection, ids)
    return [found[run_id] for run_id in run_ids if run_id in found]


def run_info(row: Row[Any]) -> RunInfo:
    """Read a row of the table."""
    return RunInfo(
        run_id=RunId(row.run_id),
        experiment_id=ExperimentId(str(row.experiment_id)),
        name=row.name,
        user_id=row.user_id,
        status=RunStatus(row.status),
        start_ms=row.start_ms,
        end_ms=row.end_ms,
        artifact_uri=row.artifact_uri,
        lifecycle=Lifecycle(row.lifecycle),
    )


def number(row: Row[Any]) -> float:
    """Read the value of a metric."""
    return math.nan if row.is_nan else row.value


def _load(connection: Connection, ids: Sequence[str]) -> dict[str, Run]:
    params = _texts(connection, run_params, ids)
    tags = _texts(connection, run_tags, ids)
    metrics = _metrics(connection, ids)
    datasets = _datasets(connection, ids)
    inputs, outputs = _models(connection, ids)
    return {
        row.run_id: Run(
            info=run_info(row),
            params=params.get(row.run_id, {}),
            tags=tags.get(row.run_id, {}),
            metrics=metrics.get(row.run_id, {}),
            datasets=tuple(datasets.get(row.run_id, ())),
            model_inputs=tuple(inputs.get(row.run_id, ())),
            model_outputs=tuple(outputs.get(row.run_id, ())),
        )
        for row in connection.execute(select(runs).where(runs.c.run_id.in_(ids)))
    }


def _texts(connection: Connection, table: Table, ids: Sequence[str]) -> Mapping[str, dict[str, str]]:
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    columns = table.c.run_id, table.c.key, table.c.value
    query = select(*columns).where(table.c.run_id.in_(ids)).order_by(table.c.run_id, table.c.key)
    for run_id, key, value in connection.execute(query):
        found[run_id][key] = value
    return found


def _metrics(connection: Connection, ids: Sequence[str]) -> Mapping[str, dict[str, MetricSummary]]:
    found: defaultdict[str, dict[str, MetricSummary]] = defaultdict(dict)
    query = select(metric_series).where(metric_series.c.run_id.in_(ids))
    for row in connection.execute(query.order_by(metric_series.c.run_id, metric_series.c.key)):
        latest = Metric(key=row.key, value=number(row), timestamp_ms=row.timestamp_ms, step=row.step)
        found[row.run_id][row.key] = MetricSummary(latest=latest, minimum=row.minimum, maximum=row.maximum)
    return found


def _datasets(connection: Connection, ids: Sequence[str]) -> Mapping[str, list[DatasetInput]]:
    found: defaultdict[str, list[DatasetInput]] = defaultdict(list)
    query = (
        select(logged_datasets, run_datasets.c.run_id, run_datasets.c.tags)
        .join(run_datasets, run_datasets.c.dataset_id == logged_datasets.c.dataset_id)
        .where(run_datasets.c.run_id.in_(ids))
        .order_by(run_datasets.c.run_id, run_datasets.c.dataset_id)
    )
    for row in connection.execute(query):
        dataset = LoggedDataset(
            name=row.name,
            digest=row.digest,
            source_type=row.source_type,
            source=row.source,
            schema=row.schema,
            profile=row.profile,
        )
        found[row.run_id].append(DatasetInput(dataset=dataset, tags=json.loads(row.tags)))
    return found


def _models(
    connection: Connection, ids: Sequence[str]
) -> tuple[Mapping[str, list[ModelId]], Mapping[str, list[ModelOutput]]]:
    inputs: defaultdict[str, list[ModelId]] = defaultdict(list)
    outputs: defaultdict[str, list[ModelOutput]] = defaultdict(list)
    query = select(run_models).where(run_models.c.run_id.in_(ids))
    for row in connection.execute(query.order_by(run_models.c.run_id, run_models.c.step, run_models.c.model_id)):
        if row.direction == INPUT:
            inputs[row.run_id].append(ModelId(row.model_id))
        else:
            outputs[row.run_id].append(ModelOutput(model_id=ModelId(row.model_id), step=row.step))
    return inputs, outputs
