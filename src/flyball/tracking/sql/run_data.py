"""Params, tags, datasets and models of runs on a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, and_, delete, select

from flyball.kernel.canonical import canonical_json
from flyball.kernel.db import Database, run_text
from flyball.tracking.entities import DATASET_CONTEXT_TAG, DatasetInput, ExperimentId, ModelId, ModelOutput, RunInfo
from flyball.tracking.sql.run_loading import INPUT, OUTPUT
from flyball.tracking.sql.statements import chunks, insert_missing, insert_rows
from flyball.tracking.tables import logged_datasets, run_datasets, run_models, run_tags

_PARAMS = "SELECT key, value FROM run_params WHERE run_id = ? AND key IN"
_ADD_PARAMS = "INSERT INTO run_params (run_id, experiment_id, key, value) VALUES {rows} ON CONFLICT DO NOTHING"
_PUT_TAGS = (
    "INSERT INTO run_tags (run_id, experiment_id, key, value) VALUES {rows} "
    "ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value"
)


class SqlRunDataStore:
    """What runs log, as rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def params(self, run_id: str, keys: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        with self._database.read() as connection:
            for piece in chunks(keys):
                marks = ", ".join("?" * len(piece))
                found |= dict(run_text(connection, f"{_PARAMS} ({marks})", [run_id, *piece]).fetchall())
        return found

    def add_params(self, run: RunInfo, params: Mapping[str, str]) -> None:
        with self._database.transaction() as connection:
            insert_rows(connection, _ADD_PARAMS, _rows(run, params))

    def put_tags(self, run: RunInfo, tags: Mapping[str, str]) -> None:
        with self._database.transaction() as connection:
            insert_rows(connection, _PUT_TAGS, _rows(run, tags))

    def find_tag(self, run_id: str, key: str) -> str | None:
        mine = and_(run_tags.c.run_id == run_id, run_tags.c.key == key)
        with self._database.read() as connection:
            return connection.execute(select(run_tags.c.value).where(mine)).scalar()

    def delete_tag(self, run_id: str, key: str) -> bool:
        mine = and_(run_tags.c.run_id == run_id, run_tags.c.key == key)
        with self._database.transaction() as connection:
            return connection.execute(delete(run_tags).where(mine)).rowcount > 0

    def add_datasets(self, run_id: str, experiment_id: ExperimentId, inputs: Sequence[DatasetInput]) -> None:
        rows = [_dataset_row(experiment_id, item) for item in inputs]
        with self._database.transaction() as connection:
            insert_missing(connection, logged_datasets, rows)
            links = [
                {
                    "run_id": run_id,
                    "dataset_id": _dataset_id(connection, experiment_id, item),
                    "context": item.tags.get(DATASET_CONTEXT_TAG),
                    "tags": canonical_json(dict(item.tags)).decode(),
                }
                for item in inputs
            ]
            insert_missing(connection, run_datasets, links)

    def add_model_inputs(self, run_id: str, model_ids: Sequence[ModelId]) -> None:
        self._link(run_id, INPUT, [(model_id, 0) for model_id in model_ids])

    def add_model_outputs(self, run_id: str, outputs: Sequence[ModelOutput]) -> None:
        self._link(run_id, OUTPUT, [(output.model_id, output.step) for output in outputs])

    def _link(self, run_id: str, direction: str, models: Sequence[tuple[ModelId, int]]) -> None:
        rows = [
            {"run_id": run_id, "direction": direction, "model_id": model_id, "step": step} for model_id, step in models
        ]
        with self._database.transaction() as connection:
            insert_missing(connection, run_models, rows)


def _rows(run: RunInfo, texts: Mapping[str, str]) -> list[tuple[object, ...]]:
    return [(run.run_id, int(run.experiment_id), key, value) for key, value in texts.items()]


def _dataset_row(experiment_id: ExperimentId, item: DatasetInput) -> dict[str, object]:
    dataset = item.dataset
    return {
        "experiment_id": int(experiment_id),
        "name": dataset.name,
        "digest": dataset.digest,
        "source_type": dataset.source_type,
        "source": dataset.source,
        "schema": dataset.schema,
        "profile": dataset.profile,
    }


def _dataset_id(connection: Connection, experiment_id: ExperimentId, item: DatasetInput) -> int:
    same = and_(
        logged_datasets.c.experiment_id == int(experiment_id),
        logged_datasets.c.name == item.dataset.name,
        logged_datasets.c.digest == item.dataset.digest,
    )
    dataset_id: int = connection.execute(select(logged_datasets.c.dataset_id).where(same)).scalar_one()
    return dataset_id
