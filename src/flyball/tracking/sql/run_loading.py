"""Load runs with all that they logged, in a fixed number of statements for each few hundred runs."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, Select, Table, bindparam, select

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


# `runs/get` is the most frequent call of all; building these statements anew would take most of its time.
_IDS: BindParameter[str] = bindparam("ids", expanding=True)


def _texts_of(table: Table) -> Select[tuple[str, str, str]]:
    wanted = select(table.c.run_id, table.c.key, table.c.value).where(table.c.run_id.in_(_IDS))
    return wanted.order_by(table.c.run_id, table.c.key)


_RUNS = select(runs).where(runs.c.run_id.in_(_IDS))
_PARAMS = _texts_of(run_params)
_TAGS = _texts_of(run_tags)
_METRICS = (
    select(metric_series).where(metric_series.c.run_id.in_(_IDS)).order_by(metric_series.c.run_id, metric_series.c.key)
)
_DATASETS = (
    select(logged_datasets, run_datasets.c.run_id, run_datasets.c.tags)
    .join(run_datasets, run_datasets.c.dataset_id == logged_datasets.c.dataset_id)
    .where(run_datasets.c.run_id.in_(_IDS))
    .order_by(run_datasets.c.run_id, run_datasets.c.dataset_id)
)
_MODELS = (
    select(run_models)
    .where(run_models.c.run_id.in_(_IDS))
    .order_by(run_models.c.run_id, run_models.c.step, run_models.c.model_id)
)


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
    params = _texts(connection, _PARAMS, ids)
    tags = _texts(connection, _TAGS, ids)
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
        for row in connection.execute(_RUNS, {"ids": ids})
    }


def _texts(
    connection: Connection, query: Select[tuple[str, str, str]], ids: Sequence[str]
) -> Mapping[str, dict[str, str]]:
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for row in connection.execute(query, {"ids": ids}):
        found[row.run_id][row.key] = row.value
    return found


def _metrics(connection: Connection, ids: Sequence[str]) -> Mapping[str, dict[str, MetricSummary]]:
    found: defaultdict[str, dict[str, MetricSummary]] = defaultdict(dict)
    for row in connection.execute(_METRICS, {"ids": ids}):
        latest = Metric(key=row.key, value=number(row), timestamp_ms=row.timestamp_ms, step=row.step)
        found[row.run_id][row.key] = MetricSummary(latest=latest, minimum=row.minimum, maximum=row.maximum)
    return found


def _datasets(connection: Connection, ids: Sequence[str]) -> Mapping[str, list[DatasetInput]]:
    found: defaultdict[str, list[DatasetInput]] = defaultdict(list)
    for row in connection.execute(_DATASETS, {"ids": ids}):
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
    for row in connection.execute(_MODELS, {"ids": ids}):
        if row.direction == INPUT:
            inputs[row.run_id].append(ModelId(row.model_id))
        else:
            outputs[row.run_id].append(ModelOutput(model_id=ModelId(row.model_id), step=row.step))
    return inputs, outputs
