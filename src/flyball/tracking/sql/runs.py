"""Runs on a database."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, bindparam, insert, select, update

from flyball.kernel.db import Database
from flyball.tracking.entities import Lifecycle, Run, RunId, RunInfo, View
from flyball.tracking.search import Clause, Ordering
from flyball.tracking.sql.run_loading import load_runs, run_info
from flyball.tracking.sql.run_search import RunSearch
from flyball.tracking.tables import runs

# Every write to a run begins with one of these, so they are built once.
_ONE = select(runs).where(runs.c.run_id == bindparam("wanted"))
_LOCKED = _ONE.with_for_update()


class SqlRunStore:
    """Runs as rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, info: RunInfo) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                insert(runs),
                {
                    "run_id": info.run_id,
                    "experiment_id": int(info.experiment_id),
                    "artifact_uri": info.artifact_uri,
                    "deleted_with_experiment": False,
                    **_changeable(info),
                },
            )

    def find(self, run_id: str) -> RunInfo | None:
        with self._database.read() as connection:
            row = connection.execute(_ONE, {"wanted": run_id}).first()
        return run_info(row) if row else None

    def lock(self, run_id: str) -> RunInfo | None:
        with self._database.transaction() as connection:
            row = connection.execute(_LOCKED, {"wanted": run_id}).first()
        return run_info(row) if row else None

    def update(self, info: RunInfo) -> None:
        changed = update(runs).where(runs.c.run_id == info.run_id)
        with self._database.transaction() as connection:
            connection.execute(changed.values(deleted_with_experiment=False, **_changeable(info)))

    def delete_with_experiment(self, experiment_id: str) -> int:
        condition = and_(runs.c.experiment_id == int(experiment_id), runs.c.lifecycle == Lifecycle.ACTIVE)
        return self._mark(condition, Lifecycle.DELETED, deleted_with_experiment=True)

    def restore_with_experiment(self, experiment_id: str) -> int:
        condition = and_(runs.c.experiment_id == int(experiment_id), runs.c.deleted_with_experiment)
        return self._mark(condition, Lifecycle.ACTIVE, deleted_with_experiment=False)

    def load(self, run_ids: Sequence[str]) -> list[Run]:
        with self._database.read() as connection:
            return load_runs(connection, run_ids)

    def search(
        self,
        experiment_ids: Sequence[str],
        clauses: Sequence[Clause],
        *,
        view: View,
        order: Sequence[Ordering],
        offset: int,
        limit: int,
    ) -> list[RunId]:
        search = RunSearch(self._database.dialect)
        query = search.query(experiment_ids, clauses, view=view, order=order).offset(offset).limit(limit)
        with self._database.read() as connection:
            return [RunId(row.run_id) for row in connection.execute(query)]

    def _mark(self, condition: ColumnElement[bool], lifecycle: Lifecycle, *, deleted_with_experiment: bool) -> int:
        changed = update(runs).where(condition)
        with self._database.transaction() as connection:
            return connection.execute(
                changed.values(lifecycle=lifecycle, deleted_with_experiment=deleted_with_experiment)
            ).rowcount


def _changeable(info: RunInfo) -> dict[str, object]:
    return {
        "name": info.name,
        "user_id": info.user_id,
        "status": info.status,
        "start_ms": info.start_ms,
        "end_ms": info.end_ms,
        "lifecycle": info.lifecycle,
    }
