"""Reports as rows of canonical JSON, one a revision."""

from __future__ import annotations

from sqlalchemy import and_, func, insert, select
from sqlalchemy.exc import IntegrityError

from flyball.kernel.canonical import Digest
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict
from flyball.monitoring.codec import decode, encode
from flyball.monitoring.entities import WindowReport
from flyball.monitoring.tables import window_reports


class SqlReportStore:
    """Nothing is ever replaced: a newer revision stands beside the older ones."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, report: WindowReport, *, digest: Digest, now_ms: int) -> None:
        row = {
            "monitor": report.monitor,
            "start_ms": report.start_ms,
            "revision": report.revision,
            "digest": digest,
            "content": encode(report),
            "created_ms": now_ms,
        }
        try:
            with self._database.transaction() as connection:
                connection.execute(insert(window_reports), row)
        except IntegrityError as error:
            raise Conflict(
                f"the window of '{report.monitor}' at {report.start_ms} was reported by somebody else at this moment",
                field="monitor",
            ) from error

    def find(self, monitor: str, start_ms: int) -> WindowReport | None:
        history = self.history(monitor, start_ms)
        return history[-1] if history else None

    def history(self, monitor: str, start_ms: int) -> list[WindowReport]:
        mine = and_(window_reports.c.monitor == monitor, window_reports.c.start_ms == start_ms)
        query = select(window_reports.c.content).where(mine).order_by(window_reports.c.revision)
        with self._database.read() as connection:
            return [decode(row.content, WindowReport) for row in connection.execute(query)]

    def newest(self, monitor: str, *, before_ms: int | None, limit: int) -> list[WindowReport]:
        wanted = window_reports.c.monitor == monitor
        if before_ms is not None:
            wanted = and_(wanted, window_reports.c.start_ms < before_ms)
        last = (
            select(window_reports.c.start_ms, func.max(window_reports.c.revision).label("revision"))
            .where(wanted)
            .group_by(window_reports.c.start_ms)
            .order_by(window_reports.c.start_ms.desc())
            .limit(limit)
            .subquery()
        )
        same = and_(
            window_reports.c.monitor == monitor,
            window_reports.c.start_ms == last.c.start_ms,
            window_reports.c.revision == last.c.revision,
        )
        query = select(window_reports.c.content).join(last, same).order_by(window_reports.c.start_ms)
        with self._database.read() as connection:
            return [decode(row.content, WindowReport) for row in connection.execute(query)]
