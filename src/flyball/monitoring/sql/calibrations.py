"""Calibrations as rows of canonical JSON, one a revision."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Row, and_, func, insert, select
from sqlalchemy.exc import IntegrityError

from flyball.kernel.canonical import Digest
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict
from flyball.monitoring.calibration.entities import Calibration, KeptCalibration
from flyball.monitoring.codec import decode, encode
from flyball.monitoring.tables import monitor_calibrations as kept


class SqlCalibrationStore:
    """Nothing is ever replaced: a newer calibration stands beside the older ones."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, calibration: Calibration, *, digest: Digest, now_ms: int) -> None:
        mine = _of(calibration.monitor, calibration.version)
        row = {
            "monitor": calibration.monitor,
            "version": calibration.version,
            "digest": digest,
            "content": encode(calibration),
            "created_ms": now_ms,
        }
        try:
            with self._database.transaction() as connection:
                last = connection.execute(select(func.max(kept.c.revision)).where(mine)).scalar()
                connection.execute(insert(kept), {**row, "revision": (last or 0) + 1})
        except IntegrityError as error:
            raise Conflict(
                f"monitor '{calibration.monitor}' was calibrated by somebody else at this moment", field="monitor"
            ) from error

    def find(self, monitor: str, version: int) -> Calibration | None:
        row = self._newest(monitor, version, kept.c.content)
        return decode(row.content, Calibration) if row else None

    def find_digest(self, monitor: str, version: int) -> Digest | None:
        row = self._newest(monitor, version, kept.c.digest)
        return Digest(row.digest) if row else None

    def history(self, monitor: str, *, limit: int) -> list[KeptCalibration]:
        newest_first = (kept.c.created_ms.desc(), kept.c.version.desc(), kept.c.revision.desc())
        query = select(kept).where(kept.c.monitor == monitor).order_by(*newest_first).limit(limit)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            KeptCalibration(
                calibration=decode(row.content, Calibration), digest=Digest(row.digest), created_ms=row.created_ms
            )
            for row in rows
        ]

    def _newest(self, monitor: str, version: int, column: ColumnElement[str]) -> Row[str] | None:
        query = select(column).where(_of(monitor, version)).order_by(kept.c.revision.desc()).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first()


def _of(monitor: str, version: int) -> ColumnElement[bool]:
    return and_(kept.c.monitor == monitor, kept.c.version == version)
