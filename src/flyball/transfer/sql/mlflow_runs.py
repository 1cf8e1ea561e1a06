"""Runs in a database of MLflow, a page of them with a fixed number of statements; their points stream run by run."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from flyball.tracking.entities import (
    DatasetInput,
    ExperimentId,
    Lifecycle,
    LoggedDataset,
    ModelId,
    ModelOutput,
    Run,
    RunId,
    RunInfo,
    RunStatus,
)
from flyball.transfer.entities import BATCH_POINTS, FoundRun, Point

PAGE = 200


class MlflowRuns:
    """The runs of one database."""

    def __init__(self, connection: Connection, tables: Mapping[str, Table]) -> None:
        self._connection = connection
        self._tables = tables

    def of(self, experiment_id: int) -> Iterator[FoundRun]:
        """Yield the runs of an experiment, by id."""
        runs = self._tables["runs"].c
        after = ""
        while True:
            mine = select(self._tables["runs"]).where(runs.experiment_id == experiment_id, runs.run_uuid > after)
            page = self._connection.execute(mine.order_by(runs.run_uuid).limit(PAGE)).all()
            for run in self._load(page):
                yield FoundRun(run=run, batches=self._points(run.info.run_id))
            if len(page) < PAGE:
                return
            after = page[-1].run_uuid

    def _load(self, page: Sequence[Row[Any]]) -> list[Run]:
        ids = [row.run_uuid for row in page]
        params, tags = self._texts("params", ids), self._texts("tags", ids)
        datasets, models = self._datasets(ids), self._models(ids)
        return [
            Run(
                info=_info(row),
                params=params[row.run_uuid],
                tags=tags[row.run_uuid],
                datasets=tuple(datasets[row.run_uuid]),
                model_inputs=tuple(ModelId(key) for kind, key, _ in models[row.run_uuid] if kind == "RUN_INPUT"),
                model_outputs=tuple(
                    ModelOutput(model_id=ModelId(key), step=step)
                    for kind, key, step in models[row.run_uuid]
                    if kind == "RUN_OUTPUT"
                ),
            )
            for row in page
        ]

    def _texts(self, name: str, ids: Sequence[str]) -> Mapping[str, dict[str, str]]:
        table = self._tables[name].c
        found: defaultdict[str, dict[str, str]] = defaultdict(dict)
        query = select(table.run_uuid, table.key, table.value).where(table.run_uuid.in_(ids))
        for row in self._connection.execute(query):
            found[row.run_uuid][row.key] = row.value or ""
        return found

    def _datasets(self, ids: Sequence[str]) -> Mapping[str, list[DatasetInput]]:
        found: defaultdict[str, list[DatasetInput]] = defaultdict(list)
        if "inputs" not in self._tables:
            return found
        inputs, datasets = self._tables["inputs"], self._tables["datasets"]
        joined = select(inputs.c.input_uuid, inputs.c.destination_id, datasets).where(
            inputs.c.source_type == "DATASET",
            inputs.c.destination_type == "RUN",
            inputs.c.destination_id.in_(ids),
            inputs.c.source_id == datasets.c.dataset_uuid,
        )
        rows = self._connection.execute(joined.order_by(datasets.c.name, datasets.c.digest)).all()
        tags = self._input_tags([row.input_uuid for row in rows])
        for row in rows:
            found[row.destination_id].append(_dataset(row, tags[row.input_uuid]))
        return found

    def _input_tags(self, ids: Sequence[str]) -> Mapping[str, dict[str, str]]:
        table = self._tables["input_tags"].c
        found: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for at in range(0, len(ids), PAGE):
            query = select(self._tables["input_tags"]).where(table.input_uuid.in_(ids[at : at + PAGE]))
            for row in self._connection.execute(query):
                found[row.input_uuid][row.name] = row.value
        return found

    def _models(self, ids: Sequence[str]) -> Mapping[str, list[tuple[str, str, int]]]:
        found: defaultdict[str, list[tuple[str, str, int]]] = defaultdict(list)
        if "inputs" not in self._tables:
            return found
        table = self._tables["inputs"].c
        kinds = ("RUN_INPUT", "RUN_OUTPUT")
        query = select(self._tables["inputs"]).where(table.source_type.in_(kinds), table.source_id.in_(ids))
        for row in self._connection.execute(query.order_by(table.source_id, table.destination_id)):
            found[row.source_id].append((row.source_type, row.destination_id, getattr(row, "step", 0) or 0))
        return found

    def _points(self, run_id: str) -> Iterator[list[Point]]:
        table = self._tables["metrics"].c
        query = (
            select(table.key, table.timestamp, table.step, table.value, table.is_nan)
            .where(table.run_uuid == run_id)
            .order_by(table.key, table.timestamp, table.step, table.value, table.is_nan)
            .execution_options(yield_per=BATCH_POINTS)
        )
        with self._connection.execute(query) as result:
            for rows in result.partitions():
                yield [(key, time, step, math.nan if is_nan else value) for key, time, step, value, is_nan in rows]


def _info(row: Row[Any]) -> RunInfo:
    return RunInfo(
        run_id=RunId(row.run_uuid),
        experiment_id=ExperimentId(str(row.experiment_id)),
        name=row.name or "",
        user_id=row.user_id or "",
        status=RunStatus(row.status),
        start_ms=row.start_time or 0,
        end_ms=row.end_time,
        artifact_uri=row.artifact_uri or "",
        lifecycle=Lifecycle(row.lifecycle_stage or "active"),
    )


def _dataset(row: Row[Any], tags: Mapping[str, str]) -> DatasetInput:
    dataset = LoggedDataset(
        name=row.name,
        digest=row.digest,
        source_type=row.dataset_source_type,
        source=row.dataset_source,
        schema=row.dataset_schema or "",
        profile=row.dataset_profile or "",
    )
    return DatasetInput(dataset=dataset, tags=tags)
