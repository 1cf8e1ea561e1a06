"""Stretches of traffic as rows, their summaries as bytes."""

from __future__ import annotations

import dataclasses

from sqlalchemy import ColumnElement, and_, delete, insert, select
from sqlalchemy.exc import IntegrityError

from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict
from flyball.monitoring.stretches import Stretch
from flyball.monitoring.tables import traffic_stretches


class SqlStretchStore:
    """One row a stretch; two writers of the same one meet at the primary key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, endpoint: str, *, start_ms: int, end_ms: int) -> list[Stretch]:
        query = select(traffic_stretches).where(_span(endpoint, start_ms, end_ms)).order_by(traffic_stretches.c.after)
        with self._database.read() as connection:
            return [
                Stretch(
                    endpoint=row.endpoint,
                    start_ms=row.start_ms,
                    end_ms=row.end_ms,
                    after=row.after,
                    through=row.through,
                    rows=row.rows,
                    content=bytes(row.content),
                )
                for row in connection.execute(query)
            ]

    def add(self, stretch: Stretch) -> None:
        try:
            with self._database.transaction() as connection:
                connection.execute(insert(traffic_stretches), dataclasses.asdict(stretch))
        except IntegrityError as error:
            raise Conflict(
                f"the traffic of '{stretch.endpoint}' at {stretch.start_ms} is summarised by somebody else at this moment",
                field="endpoint",
            ) from error

    def join(self, stretch: Stretch) -> None:
        within = and_(
            _span(stretch.endpoint, stretch.start_ms, stretch.end_ms),
            traffic_stretches.c.after >= stretch.after,
            traffic_stretches.c.through <= stretch.through,
        )
        with self._database.transaction() as connection:
            connection.execute(delete(traffic_stretches).where(within))
            connection.execute(insert(traffic_stretches), dataclasses.asdict(stretch))

    def prune(self, endpoint: str, *, length_ms: int, keep: int) -> None:
        mine = and_(
            traffic_stretches.c.endpoint == endpoint,
            traffic_stretches.c.end_ms - traffic_stretches.c.start_ms == length_ms,
        )
        starts = (
            select(traffic_stretches.c.start_ms).where(mine).distinct().order_by(traffic_stretches.c.start_ms.desc())
        )
        with self._database.transaction() as connection:
            oldest = connection.execute(starts.limit(1).offset(keep)).scalar_one_or_none()
            if oldest is not None:
                connection.execute(delete(traffic_stretches).where(mine, traffic_stretches.c.start_ms <= oldest))


def _span(endpoint: str, start_ms: int, end_ms: int) -> ColumnElement[bool]:
    return and_(
        traffic_stretches.c.endpoint == endpoint,
        traffic_stretches.c.start_ms == start_ms,
        traffic_stretches.c.end_ms == end_ms,
    )
