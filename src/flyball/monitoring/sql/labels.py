"""Labels as rows, one a revision."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec
from sqlalchemy import ColumnElement, Row, and_, bindparam, func, insert, select, update

from flyball.kernel.canonical import canonical_json
from flyball.kernel.db import Database
from flyball.monitoring.entities import LabelValue, StoredLabel
from flyball.monitoring.label_columns import LabelColumns
from flyball.monitoring.ports import Grid
from flyball.monitoring.sql.dialect import in_pages, start_of_number, window_number
from flyball.monitoring.tables import labels

_decode = msgspec.json.Decoder(LabelValue).decode


class SqlLabelStore:
    """A label's newest revision is marked, so that reading a span needs no grouping."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, endpoint: str, prediction_ids: Collection[str]) -> Mapping[str, StoredLabel]:
        found: dict[str, StoredLabel] = {}
        with self._database.read() as connection:
            for page in in_pages(prediction_ids):
                mine = and_(labels.c.endpoint == endpoint, labels.c.prediction_id.in_(page), labels.c.newest)
                for row in connection.execute(select(labels).where(mine)):
                    found[row.prediction_id] = _label(row)
        return found

    def add(self, endpoint: str, labels_: Sequence[StoredLabel]) -> None:
        if not labels_:
            return
        outdated = [{"old_id": label.prediction_id} for label in labels_ if label.revision > 1]
        with self._database.transaction() as connection:
            if outdated:
                mine = and_(labels.c.endpoint == endpoint, labels.c.prediction_id == bindparam("old_id"))
                connection.execute(update(labels).where(mine).values(newest=False), outdated)
            connection.execute(insert(labels), [_row(endpoint, label) for label in labels_])

    def within(self, endpoint: str, *, start_ms: int, end_ms: int) -> LabelColumns:
        wanted = select(labels.c.prediction_id, labels.c.value, labels.c.time_ms, labels.c.event_ms)
        with self._database.read() as connection:
            rows = connection.execute(wanted.where(_within(endpoint, start_ms, end_ms))).all()
        if not rows:
            return LabelColumns()
        names, values, times, events = zip(*rows, strict=True)
        return LabelColumns(prediction_ids=names, values=tuple(map(_decode, values)), times_ms=times, events_ms=events)

    def count(self, endpoint: str, *, start_ms: int, end_ms: int) -> int:
        query = select(func.count()).select_from(labels).where(_within(endpoint, start_ms, end_ms))
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def touched(self, endpoint: str, *, after: int, through: int, grid: Grid) -> list[int]:
        number = window_number(labels.c.event_ms, grid)
        arrived = and_(labels.c.endpoint == endpoint, labels.c.arrival > after, labels.c.arrival <= through)
        with self._database.read() as connection:
            rows = connection.execute(select(number.label("number")).where(arrived).distinct())
            return sorted(start_of_number(row.number, grid) for row in rows)

    def history(self, endpoint: str, prediction_id: str) -> list[StoredLabel]:
        mine = and_(labels.c.endpoint == endpoint, labels.c.prediction_id == prediction_id)
        with self._database.read() as connection:
            return [_label(row) for row in connection.execute(select(labels).where(mine).order_by(labels.c.revision))]


def _within(endpoint: str, start_ms: int, end_ms: int) -> ColumnElement[bool]:
    return and_(
        labels.c.endpoint == endpoint, labels.c.event_ms >= start_ms, labels.c.event_ms < end_ms, labels.c.newest
    )


def _row(endpoint: str, label: StoredLabel) -> dict[str, object]:
    return {
        "endpoint": endpoint,
        "prediction_id": label.prediction_id,
        "revision": label.revision,
        "value": canonical_json(label.value).decode(),
        "time_ms": label.time_ms,
        "event_ms": label.event_ms,
        "arrival": label.arrival,
        "newest": True,
    }


def _label(row: Row[tuple[object, ...]]) -> StoredLabel:
    return StoredLabel(
        prediction_id=row.prediction_id,
        revision=row.revision,
        value=_decode(row.value),
        time_ms=row.time_ms,
        event_ms=row.event_ms,
        arrival=row.arrival,
    )
