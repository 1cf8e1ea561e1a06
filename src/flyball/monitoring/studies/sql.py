"""Studies on a database."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from sqlalchemy import Row, and_, delete, insert, select, update

from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict
from flyball.monitoring.studies.entities import Study, StudyKind, StudyState
from flyball.monitoring.studies.tables import studies

_NAMES = tuple(field.name for field in dataclasses.fields(Study))
_COLUMNS = tuple(studies.c[name] for name in _NAMES)


class SqlStudyStore:
    """One row a study; its result is a column of it that only `result` reads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, study: Study) -> None:
        with self._database.transaction() as connection:
            connection.execute(insert(studies), _row(study))

    def find(self, study_id: str) -> Study | None:
        with self._database.read() as connection:
            row = connection.execute(select(*_COLUMNS).where(studies.c.id == study_id)).first()
        return _study(row) if row else None

    def change(self, study: Study, *, expected: StudyState) -> None:
        mine = and_(studies.c.id == study.id, studies.c.state == str(expected))
        with self._database.transaction() as connection:
            if connection.execute(update(studies).where(mine).values(**_row(study))).rowcount == 0:
                raise Conflict(f"study {study.id} is not {expected} any more", field="state")

    def keep_result(self, study_id: str, result: str) -> None:
        with self._database.transaction() as connection:
            connection.execute(update(studies).where(studies.c.id == study_id).values(result=result))

    def result(self, study_id: str) -> str | None:
        with self._database.read() as connection:
            row = connection.execute(select(studies.c.result).where(studies.c.id == study_id)).first()
        return row.result if row else None

    def list(
        self,
        *,
        states: Collection[StudyState] = (),
        monitor: str | None = None,
        kind: StudyKind | None = None,
        before: str = "",
        limit: int,
    ) -> list[Study]:
        query = select(*_COLUMNS).order_by(studies.c.id.desc()).limit(limit)
        if states:
            query = query.where(studies.c.state.in_(sorted(map(str, states))))
        if monitor is not None:
            query = query.where(studies.c.monitor == monitor)
        if kind is not None:
            query = query.where(studies.c.kind == str(kind))
        if before:
            query = query.where(studies.c.id < before)
        with self._database.read() as connection:
            return [_study(row) for row in connection.execute(query)]

    def remove_ended(self, *, before_ms: int, limit: int) -> int:
        old = select(studies.c.id).where(studies.c.ended_ms < before_ms).order_by(studies.c.ended_ms).limit(limit)
        with self._database.transaction() as connection:
            found = list(connection.execute(old).scalars())
            connection.execute(delete(studies).where(studies.c.id.in_(found)))
        return len(found)


def _row(study: Study) -> dict[str, object]:
    return {name: getattr(study, name) for name in _NAMES} | {"kind": str(study.kind), "state": str(study.state)}


def _study(row: Row[tuple[object, ...]]) -> Study:
    content = row._asdict()
    return Study(**{**content, "kind": StudyKind(content["kind"]), "state": StudyState(content["state"])})
