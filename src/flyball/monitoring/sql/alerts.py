"""Alerts as rows; a unique index holds that a monitor has one active alert of a kind."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, insert, select, update
from sqlalchemy.exc import IntegrityError

from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict
from flyball.kernel.ids import first_id
from flyball.monitoring.codec import decode, encode
from flyball.monitoring.entities import Alert, AlertKind, AlertState
from flyball.monitoring.tables import alerts


class SqlAlertStore:
    """The alert as canonical JSON, beside the columns that are asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, alert: Alert) -> None:
        try:
            with self._database.transaction() as connection:
                connection.execute(insert(alerts), _row(alert))
        except IntegrityError as error:
            raise Conflict(f"'{alert.monitor}' has an active {alert.kind} alert already", field="monitor") from error

    def find(self, alert_id: str) -> Alert | None:
        with self._database.read() as connection:
            row = connection.execute(select(alerts.c.content).where(alerts.c.id == alert_id)).first()
        return decode(row.content, Alert) if row else None

    def find_active(self, monitor: str, kind: AlertKind) -> Alert | None:
        with self._database.read() as connection:
            row = connection.execute(select(alerts.c.content).where(alerts.c.active == _key(monitor, kind))).first()
        return decode(row.content, Alert) if row else None

    def has_fired(self, monitor: str, kind: AlertKind, *, start_ms: int) -> bool:
        mine = and_(alerts.c.monitor == monitor, alerts.c.kind == kind, alerts.c.start_ms == start_ms)
        with self._database.read() as connection:
            return connection.execute(select(alerts.c.id).where(mine).limit(1)).first() is not None

    def update(self, alert: Alert, *, expected: AlertState) -> None:
        mine = and_(alerts.c.id == alert.id, alerts.c.state == expected)
        with self._database.transaction() as connection:
            done = connection.execute(update(alerts).where(mine).values(**_row(alert)))
            if done.rowcount == 0:
                raise Conflict(f"alert {alert.id} is not {expected} any more", field="state")

    def list(
        self,
        *,
        monitor: str | None = None,
        states: Collection[AlertState] = (),
        kind: AlertKind | None = None,
        since_ms: int | None = None,
        before: str = "",
        limit: int | None = None,
    ) -> list[Alert]:
        wanted: list[ColumnElement[bool]] = []
        if monitor is not None:
            wanted.append(alerts.c.monitor == monitor)
        if states:
            wanted.append(alerts.c.state.in_([str(state) for state in states]))
        if kind is not None:
            wanted.append(alerts.c.kind == str(kind))
        if since_ms is not None:
            wanted.append(alerts.c.id >= first_id(since_ms))
        if before:
            wanted.append(alerts.c.id < before)
        query = select(alerts.c.content).where(*wanted).order_by(alerts.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return [decode(row.content, Alert) for row in connection.execute(query)]


def _key(monitor: str, kind: AlertKind) -> str:
    return f"{monitor}/{kind}"


def _row(alert: Alert) -> dict[str, object]:
    return {
        "id": alert.id,
        "monitor": alert.monitor,
        "kind": str(alert.kind),
        "state": str(alert.state),
        "start_ms": alert.start_ms,
        "content": encode(alert),
        "active": None if alert.state is AlertState.RESOLVED else _key(alert.monitor, alert.kind),
    }
