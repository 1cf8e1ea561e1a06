"""The newest of everything, by index, and the counters of the prediction log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import Row, and_, select

from flyball.kernel.db import Database
from flyball.monitoring.codec import decode
from flyball.monitoring.entities import Alert, AlertState, WindowReport, WindowState
from flyball.monitoring.exports.ports import Look, Tally
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.tables import (
    alerts,
    monitor_windows,
    monitors,
    prediction_losses,
    prediction_streams,
    window_reports,
)

# The windows that wait for labels lie before the newest mature one; more than these are seldom.
WINDOWS_PER_QUERY = 50


class SqlFigureStore:
    """Walks each monitor's windows from the newest backwards, and stops at the first mature one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def looks(self) -> list[Look]:
        query = select(monitors.c.config, monitors.c.seen_arrival).order_by(monitors.c.name)
        with self._database.read() as connection:
            return [
                Look(monitor=decode(row.config, Monitor), seen_arrival=row.seen_arrival)
                for row in connection.execute(query)
            ]

    def tallies(self) -> dict[str, Tally]:
        with self._database.read() as connection:
            streams = {row.endpoint: row for row in connection.execute(select(prediction_streams))}
            lost: dict[str, dict[str, int]] = {}
            for row in connection.execute(select(prediction_losses).order_by(prediction_losses.c.reason)):
                lost.setdefault(row.endpoint, {})[row.reason] = row.rows
        return {
            endpoint: _tally(endpoint, streams.get(endpoint), lost.get(endpoint, {}))
            for endpoint in sorted(streams.keys() | lost.keys())
        }

    def newest(self, monitor: str) -> tuple[WindowReport | None, WindowReport | None]:
        newest, mature = None, None
        for row in self._reported(monitor):
            newest = newest or row
            if row.state == WindowState.MATURE:
                mature = row
                break
        closed = None if newest is None else self._report(newest)
        if mature is None or newest is None or mature.start_ms == newest.start_ms:
            return closed, closed if mature is not None else None
        return closed, self._report(mature)

    def active_alerts(self) -> list[Alert]:
        active = [str(state) for state in AlertState if state is not AlertState.RESOLVED]
        query = select(alerts.c.content).where(alerts.c.state.in_(active)).order_by(alerts.c.id)
        with self._database.read() as connection:
            return [decode(row.content, Alert) for row in connection.execute(query)]

    def _reported(self, monitor: str) -> Iterator[Row[tuple[object, ...]]]:
        mine = and_(monitor_windows.c.monitor == monitor, monitor_windows.c.revision > 0)
        query = select(monitor_windows).order_by(monitor_windows.c.start_ms.desc()).limit(WINDOWS_PER_QUERY)
        before_ms: int | None = None
        while True:
            wanted = mine if before_ms is None else and_(mine, monitor_windows.c.start_ms < before_ms)
            with self._database.read() as connection:
                rows = connection.execute(query.where(wanted)).all()
            yield from rows
            if len(rows) < WINDOWS_PER_QUERY:
                return
            before_ms = rows[-1].start_ms

    def _report(self, window: Row[tuple[object, ...]]) -> WindowReport | None:
        mine = and_(window_reports.c.monitor == window.monitor, window_reports.c.start_ms == window.start_ms)
        query = select(window_reports.c.content).where(mine).order_by(window_reports.c.revision.desc()).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return decode(row.content, WindowReport) if row else None


def _tally(endpoint: str, stream: Row[tuple[object, ...]] | None, lost: Mapping[str, int]) -> Tally:
    if stream is None:
        return Tally(endpoint=endpoint, lost_rows=lost)
    return Tally(
        endpoint=endpoint,
        watermark_ms=stream.watermark_ms,
        arrivals=stream.arrivals,
        captured_rows=stream.captured_rows,
        lost_rows=lost,
    )
