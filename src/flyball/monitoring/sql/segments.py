"""Segments as they are merged and freed, as rows."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Row, and_, or_, select, union_all, update

from flyball.artifacts.tables import artifact_names
from flyball.kernel.canonical import Digest
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict
from flyball.monitoring.entities import Segment
from flyball.monitoring.sql.dialect import IDS_PER_QUERY
from flyball.monitoring.tables import prediction_segments


class SqlSegmentStore:
    """The rows of `prediction_segments`, beside the index of predictions, which does not change by it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def endpoints(self, *, loose_before_ms: int, merged_before_ms: int) -> list[str]:
        due = or_(_loose(loose_before_ms), _merged(merged_before_ms))
        with self._database.read() as connection:
            return sorted(connection.execute(select(prediction_segments.c.endpoint).where(due).distinct()).scalars())

    def loose(self, endpoint: str, *, before_ms: int) -> list[Segment]:
        return self._list(endpoint, _loose(before_ms))

    def merged(self, endpoint: str, *, before_ms: int) -> list[Segment]:
        return self._list(endpoint, _merged(before_ms))

    def merge(self, endpoint: str, arrivals: Sequence[int], *, digest: Digest, now_ms: int) -> None:
        table = prediction_segments
        with self._database.transaction() as connection:
            for start in range(0, len(arrivals), IDS_PER_QUERY):
                page = arrivals[start : start + IDS_PER_QUERY]
                mine = and_(table.c.endpoint == endpoint, table.c.arrival.in_(page), table.c.merged_ms.is_(None))
                change = {"arrived_as": table.c.digest, "digest": digest, "merged_ms": now_ms}
                if connection.execute(update(table).where(mine).values(change)).rowcount != len(page):
                    raise Conflict(f"segments of '{endpoint}' were merged by somebody else", field=endpoint)

    def is_named(self, digest: Digest) -> bool:
        held = select(prediction_segments.c.digest).where(prediction_segments.c.digest == digest)
        named = select(artifact_names.c.digest).where(artifact_names.c.digest == digest)
        with self._database.read() as connection:
            return connection.execute(union_all(held, named).limit(1)).first() is not None

    def free(self, endpoint: str, arrival: int, *, now_ms: int) -> None:
        mine = and_(prediction_segments.c.endpoint == endpoint, prediction_segments.c.arrival == arrival)
        with self._database.transaction() as connection:
            connection.execute(update(prediction_segments).where(mine).values(freed_ms=now_ms))

    def _list(self, endpoint: str, due: ColumnElement[bool]) -> list[Segment]:
        mine = and_(prediction_segments.c.endpoint == endpoint, due)
        query = select(prediction_segments).where(mine).order_by(prediction_segments.c.arrival)
        with self._database.read() as connection:
            return [segment_of(row) for row in connection.execute(query)]


def segment_of(row: Row[tuple[object, ...]]) -> Segment:
    """Return a row as a segment."""
    return Segment(
        endpoint=row.endpoint,
        arrival=row.arrival,
        digest=Digest(row.digest),
        row_count=row.row_count,
        min_ms=row.min_ms,
        max_ms=row.max_ms,
        created_ms=row.created_ms,
        arrived_as=Digest(row.arrived_as) if row.arrived_as else None,
    )


def _loose(before_ms: int) -> ColumnElement[bool]:
    return and_(prediction_segments.c.merged_ms.is_(None), prediction_segments.c.created_ms < before_ms)


def _merged(before_ms: int) -> ColumnElement[bool]:
    return and_(prediction_segments.c.merged_ms < before_ms, prediction_segments.c.freed_ms.is_(None))
