"""Read runs with all that they logged: `runs/get` is the most frequent call of all, so the statements are plain text."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row

from flyball.kernel.db import run_text
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

INPUT = "input"
OUTPUT = "output"

_INFOS = (
    "SELECT run_id, experiment_id, name, user_id, status, start_ms, end_ms, artifact_uri, lifecycle FROM runs "
    "WHERE run_id IN ({marks})"
)
_TEXTS = "SELECT run_id, key, value FROM {table} WHERE run_id IN ({marks}) ORDER BY run_id, key"
_PARAMS, _TAGS = (_TEXTS.replace("{table}", table) for table in ("run_params", "run_tags"))
_METRICS = (
    "SELECT run_id, key, value, is_nan, step, timestamp_ms, minimum, maximum FROM metric_series "
    "WHERE run_id IN ({marks}) ORDER BY run_id, key"
)
_DATASETS = (
    "SELECT used.run_id, used.tags, kept.name, kept.digest, kept.source_type, kept.source, kept.schema, kept.profile "
    "FROM run_datasets AS used JOIN logged_datasets AS kept ON kept.dataset_id = used.dataset_id "
    "WHERE used.run_id IN ({marks}) ORDER BY used.run_id, used.dataset_id"
)
_MODELS = (
    "SELECT run_id, direction, model_id, step FROM run_models WHERE run_id IN ({marks}) ORDER BY run_id, step, model_id"
)

# A look into a table takes a fifth of the time that calling the enumeration takes, and every turn of writes reads its runs.
_STATUSES = {str(status): status for status in RunStatus}
_LIFECYCLES = {str(lifecycle): lifecycle for lifecycle in Lifecycle}


def load_runs(connection: Connection, run_ids: Sequence[str]) -> list[Run]:
    """Return the runs in the order asked for; unknown ids are left out."""
    found: dict[str, Run] = {}
    for ids in chunks(run_ids):
        found |= _load(connection, ids)
    return [found[run_id] for run_id in run_ids if run_id in found]


def find_infos(connection: Connection, run_ids: Sequence[str], *, suffix: str = "") -> dict[str, RunInfo]:
    """Return those runs that are there, without what they logged, by id."""
    found: dict[str, RunInfo] = {}
    for ids in chunks(run_ids):
        for row in _rows(connection, _INFOS + suffix, ids):
            found[row[0]] = _info(row)
    return found


def number(row: Row[Any]) -> float:
    """Read the value of a metric."""
    return math.nan if row.is_nan else row.value


def _load(connection: Connection, ids: Sequence[str]) -> dict[str, Run]:
    params = _texts(_rows(connection, _PARAMS, ids))
    tags = _texts(_rows(connection, _TAGS, ids))
    metrics = _metrics(_rows(connection, _METRICS, ids))
    datasets = _datasets(_rows(connection, _DATASETS, ids))
    inputs, outputs = _models(_rows(connection, _MODELS, ids))
    return {
        row[0]: Run(
            info=_info(row),
            params=params.get(row[0], {}),
            tags=tags.get(row[0], {}),
            metrics=metrics.get(row[0], {}),
            datasets=tuple(datasets.get(row[0], ())),
            model_inputs=tuple(inputs.get(row[0], ())),
            model_outputs=tuple(outputs.get(row[0], ())),
        )
        for row in _rows(connection, _INFOS, ids)
    }


def _rows(connection: Connection, statement: str, ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """Run a statement for ids, filled up to a power of two with the last one, so that few statements are ever prepared."""
    size = 1 << (len(ids) - 1).bit_length()
    filled = [*ids, *([ids[-1]] * (size - len(ids)))]
    rows: list[tuple[Any, ...]] = run_text(
        connection, statement.replace("{marks}", ", ".join("?" * size)), filled
    ).fetchall()
    return rows


def _info(row: tuple[Any, ...]) -> RunInfo:
    run_id, experiment_id, name, user_id, status, start_ms, end_ms, artifact_uri, lifecycle = row
    return RunInfo(
        run_id=RunId(run_id),
        experiment_id=ExperimentId(str(experiment_id)),
        name=name,
        user_id=user_id,
        status=_STATUSES[status],
        start_ms=start_ms,
        end_ms=end_ms,
        artifact_uri=artifact_uri,
        lifecycle=_LIFECYCLES[lifecycle],
    )


def _texts(rows: Iterable[tuple[Any, ...]]) -> Mapping[str, dict[str, str]]:
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for run_id, key, value in rows:
        found[run_id][key] = value
    return found


def _metrics(rows: Iterable[tuple[Any, ...]]) -> Mapping[str, dict[str, MetricSummary]]:
    found: defaultdict[str, dict[str, MetricSummary]] = defaultdict(dict)
    for run_id, key, value, is_nan, step, timestamp_ms, minimum, maximum in rows:
        latest = Metric(key=key, value=math.nan if is_nan else value, timestamp_ms=timestamp_ms, step=step)
        found[run_id][key] = MetricSummary(latest=latest, minimum=minimum, maximum=maximum)
    return found


def _datasets(rows: Iterable[tuple[Any, ...]]) -> Mapping[str, list[DatasetInput]]:
    found: defaultdict[str, list[DatasetInput]] = defaultdict(list)
    for run_id, tags, name, digest, source_type, source, schema, profile in rows:
        dataset = LoggedDataset(
            name=name, digest=digest, source_type=source_type, source=source, schema=schema, profile=profile
        )
        found[run_id].append(DatasetInput(dataset=dataset, tags=json.loads(tags)))
    return found


def _models(
    rows: Iterable[tuple[Any, ...]],
) -> tuple[Mapping[str, list[ModelId]], Mapping[str, list[ModelOutput]]]:
    inputs: defaultdict[str, list[ModelId]] = defaultdict(list)
    outputs: defaultdict[str, list[ModelOutput]] = defaultdict(list)
    for run_id, direction, model_id, step in rows:
        if direction == INPUT:
            inputs[run_id].append(ModelId(model_id))
        else:
            outputs[run_id].append(ModelOutput(model_id=ModelId(model_id), step=step))
    return inputs, outputs
