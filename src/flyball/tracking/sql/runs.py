"""Runs on a database."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, and_, update

from flyball.kernel.db import Database, run_text
from flyball.tracking.entities import Lifecycle, Run, RunInfo, View
from flyball.tracking.ports import FoundRuns
from flyball.tracking.search import Clause, Ordering, Place
from flyball.tracking.sql.run_loading import find_infos, load_runs
from flyball.tracking.sql.run_search import RunSearch
from flyball.tracking.tables import runs

_INSERT = (
    "INSERT INTO runs (run_id, experiment_id, artifact_uri, deleted_with_experiment, "
    "name, user_id, status, start_ms, end_ms, lifecycle) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class SqlRunStore:
    """Runs as rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, info: RunInfo) -> None:
        with self._database.transaction() as connection:
            run_text(
                connection,
                _INSERT,
                [info.run_id, int(info.experiment_id), info.artifact_uri, False, *_changeable(info).values()],
            )

    def find(self, run_id: str) -> RunInfo | None:
        with self._database.read() as connection:
            return find_infos(connection, [run_id]).get(run_id)

    def lock(self, run_id: str) -> RunInfo | None:
        return self.lock_all([run_id]).get(run_id)

    def lock_all(self, run_ids: Collection[str]) -> dict[str, RunInfo]:
        # On PostgreSQL everybody locks in the order of the ids; on SQLite the transaction itself is the lock.
        suffix = " ORDER BY run_id FOR UPDATE" if self._database.dialect == "postgresql" else ""
        with self._database.transaction() as connection:
            return find_infos(connection, sorted(run_ids), suffix=suffix)

    def update(self, info: RunInfo) -> None:
        changed = update(runs).where(runs.c.run_id == info.run_id)
        with self._database.transaction() as connection:
            connection.execute(changed.values(**_changeable(info)))

    def delete_with_experiment(self, experiment_id: str) -> int:
        condition = and_(runs.c.experiment_id == int(experiment_id), runs.c.lifecycle == Lifecycle.ACTIVE)
        return self._mark(condition, Lifecycle.DELETED)

    def restore_with_experiment(self, experiment_id: str) -> int:
        condition = and_(runs.c.experiment_id == int(experiment_id), runs.c.lifecycle == Lifecycle.DELETED)
        return self._mark(condition, Lifecycle.ACTIVE)

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
        place: Place,
        limit: int,
    ) -> FoundRuns:
        with self._database.read() as connection:
            search = RunSearch(connection, experiment_ids, clauses, view=view, order=order)
            return search.page(place, limit=limit)

    def _mark(self, condition: ColumnElement[bool], lifecycle: Lifecycle) -> int:
        with self._database.transaction() as connection:
            return connection.execute(update(runs).where(condition).values(lifecycle=lifecycle)).rowcount


def _changeable(info: RunInfo) -> dict[str, object]:
    return {
        "name": info.name,
        "user_id": info.user_id,
        "status": info.status,
        "start_ms": info.start_ms,
        "end_ms": info.end_ms,
        "lifecycle": info.lifecycle,
    }
