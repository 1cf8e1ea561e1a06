"""What of the prediction log is past its age, as rows."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, delete, exists, not_, or_, select, union_all

from flyball.artifacts.tables import artifact_names
from flyball.kernel.canonical import Digest
from flyball.kernel.db import Database
from flyball.monitoring.entities import Segment
from flyball.monitoring.sql.dialect import in_pages
from flyball.monitoring.sql.segments import segment_of
from flyball.monitoring.tables import labels, prediction_index, prediction_segments, traffic_stretches

_other = prediction_segments.alias("other")
_left = prediction_index.alias("left_over")


class SqlRetentionStore:
    """The rows of `prediction_segments`, `prediction_index` and `labels` that go together."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def endpoints(self, *, before_ms: int) -> list[str]:
        gone = or_(_old(before_ms), _emptied())
        with self._database.read() as connection:
            return sorted(connection.execute(select(prediction_segments.c.endpoint).where(gone).distinct()).scalars())

    def old(self, endpoint: str, *, before_ms: int) -> list[Segment]:
        return self._list(endpoint, _old(before_ms))

    def expire(self, endpoint: str, arrivals: Collection[int]) -> tuple[int, int]:
        predictions = truths = 0
        with self._database.transaction() as connection:
            for page in in_pages(arrivals):
                mine = and_(prediction_index.c.endpoint == endpoint, prediction_index.c.arrival.in_(page))
                # A shadow's answer under the same id may lie in another file; its label then stays with it.
                elsewhere = exists().where(
                    _left.c.endpoint == endpoint,
                    _left.c.prediction_id == labels.c.prediction_id,
                    _left.c.arrival.not_in(page),
                )
                ids = select(prediction_index.c.prediction_id).where(mine)
                theirs = and_(labels.c.endpoint == endpoint, labels.c.prediction_id.in_(ids), not_(elsewhere))
                truths += connection.execute(delete(labels).where(theirs)).rowcount
                predictions += connection.execute(delete(prediction_index).where(mine)).rowcount
            if arrivals:
                self._forget_summaries(endpoint, first=min(arrivals), last=max(arrivals))
        return predictions, truths

    def _forget_summaries(self, endpoint: str, *, first: int, last: int) -> None:
        """Remove what is known of the windows that such rows fell into: categories are texts that somebody sent."""
        table = traffic_stretches
        touched = and_(table.c.endpoint == endpoint, table.c.after < last, table.c.through >= first)
        starts = select(table.c.start_ms).where(touched)
        with self._database.transaction() as connection:
            connection.execute(delete(table).where(table.c.endpoint == endpoint, table.c.start_ms.in_(starts)))

    def emptied(self, endpoint: str) -> list[Segment]:
        return self._list(endpoint, _emptied())

    def forget(self, endpoint: str, arrivals: Collection[int]) -> None:
        table = prediction_segments
        with self._database.transaction() as connection:
            for page in in_pages(arrivals):
                connection.execute(delete(table).where(table.c.endpoint == endpoint, table.c.arrival.in_(page)))

    def is_named(self, digest: Digest) -> bool:
        held = select(prediction_segments.c.digest).where(prediction_segments.c.digest == digest, not_(_emptied()))
        named = select(artifact_names.c.digest).where(artifact_names.c.digest == digest)
        with self._database.read() as connection:
            return connection.execute(union_all(held, named).limit(1)).first() is not None

    def _list(self, endpoint: str, due: ColumnElement[bool]) -> list[Segment]:
        mine = and_(prediction_segments.c.endpoint == endpoint, due)
        query = select(prediction_segments).where(mine).order_by(prediction_segments.c.arrival)
        with self._database.read() as connection:
            return [segment_of(row) for row in connection.execute(query)]


def _old(before_ms: int) -> ColumnElement[bool]:
    """Whether a segment still has predictions, and lies in a file of which nothing is younger, nor is yet to be merged or freed."""
    younger = exists().where(
        _other.c.endpoint == prediction_segments.c.endpoint,
        _other.c.digest == prediction_segments.c.digest,
        or_(_other.c.created_ms >= before_ms, _other.c.max_ms >= before_ms, _other.c.freed_ms.is_(None)),
    )
    return and_(prediction_segments.c.max_ms < before_ms, not_(younger), not_(_emptied()))


def _emptied() -> ColumnElement[bool]:
    kept = exists().where(
        prediction_index.c.endpoint == prediction_segments.c.endpoint,
        prediction_index.c.arrival == prediction_segments.c.arrival,
    )
    return and_(prediction_segments.c.freed_ms.is_not(None), not_(kept))
