"""Silences as rows."""

from __future__ import annotations

from sqlalchemy import insert, select, update

from flyball.kernel.db import Database
from flyball.monitoring.alerts.silences import Silence
from flyball.monitoring.alerts.tables import silences
from flyball.monitoring.codec import decode, encode


class SqlSilenceStore:
    """The silence as canonical JSON, beside its end."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, silence: Silence) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                insert(silences), {"id": silence.id, "content": encode(silence), "end_ms": silence.end_ms}
            )

    def find(self, silence_id: str) -> Silence | None:
        with self._database.read() as connection:
            row = connection.execute(select(silences.c.content).where(silences.c.id == silence_id)).first()
        return decode(row.content, Silence) if row else None

    def end(self, silence: Silence) -> None:
        changed = {"content": encode(silence), "end_ms": silence.end_ms}
        with self._database.transaction() as connection:
            connection.execute(update(silences).where(silences.c.id == silence.id).values(changed))

    def list(self, *, not_over_ms: int | None) -> list[Silence]:
        query = select(silences.c.content).order_by(silences.c.id.desc())
        if not_over_ms is not None:
            query = query.where(silences.c.end_ms > not_over_ms)
        with self._database.read() as connection:
            return [decode(row.content, Silence) for row in connection.execute(query)]
