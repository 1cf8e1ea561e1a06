"""Monitors and their windows as rows."""

from __future__ import annotations

import dataclasses

from sqlalchemy import Row, and_, select, update

from flyball.kernel.db import Database
from flyball.monitoring.codec import decode, encode
from flyball.monitoring.entities import Window, WindowState
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.sql.dialect import upsert
from flyball.monitoring.tables import monitor_windows, monitors


class SqlMonitorStore:
    """The file as text, beside how far the monitor has looked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, monitor: Monitor, *, now_ms: int) -> None:
        statement = upsert(self._database, monitors, keys=["name"], change=["config", "updated_ms"])
        row = {"name": monitor.name, "config": encode(monitor), "seen_arrival": 0, "updated_ms": now_ms}
        with self._database.transaction() as connection:
            connection.execute(statement, row)

    def find(self, name: str) -> Monitor | None:
        with self._database.read() as connection:
            row = connection.execute(select(monitors.c.config).where(monitors.c.name == name)).first()
        return decode(row.config, Monitor) if row else None

    def cursor(self, name: str) -> int:
        with self._database.read() as connection:
            row = connection.execute(select(monitors.c.seen_arrival).where(monitors.c.name == name)).first()
        return int(row.seen_arrival) if row else 0

    def advance(self, name: str, *, through: int) -> None:
        behind = and_(monitors.c.name == name, monitors.c.seen_arrival < through)
        with self._database.transaction() as connection:
            connection.execute(update(monitors).where(behind).values(seen_arrival=through))

    def windows(self, name: str, *, unfinished: bool) -> list[Window]:
        wanted = monitor_windows.c.monitor == name
        if unfinished:
            wanted = and_(wanted, monitor_windows.c.state != WindowState.MATURE)
        query = select(monitor_windows).where(wanted).order_by(monitor_windows.c.start_ms)
        with self._database.read() as connection:
            return [_window(row) for row in connection.execute(query)]

    def find_window(self, name: str, start_ms: int) -> Window | None:
        mine = and_(monitor_windows.c.monitor == name, monitor_windows.c.start_ms == start_ms)
        with self._database.read() as connection:
            row = connection.execute(select(monitor_windows).where(mine)).first()
        return _window(row) if row else None

    def put_window(self, window: Window) -> None:
        keys = ["monitor", "start_ms"]
        change = ["end_ms", "state", "rows", "labelled", "revision"]
        with self._database.transaction() as connection:
            connection.execute(
                upsert(self._database, monitor_windows, keys=keys, change=change), dataclasses.asdict(window)
            )

    def list(self) -> list[Monitor]:
        with self._database.read() as connection:
            rows = connection.execute(select(monitors.c.config).order_by(monitors.c.name))
            return [decode(row.config, Monitor) for row in rows]


def _window(row: Row[tuple[object, ...]]) -> Window:
    return Window(
        monitor=row.monitor,
        start_ms=row.start_ms,
        end_ms=row.end_ms,
        state=WindowState(row.state),
        rows=row.rows,
        labelled=row.labelled,
        revision=row.revision,
    )
