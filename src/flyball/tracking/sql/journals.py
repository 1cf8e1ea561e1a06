"""How far each journal is carried out, and which of its records were refused."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update

from flyball.kernel.db import Database
from flyball.tracking.shipping import Refusal
from flyball.tracking.sql.statements import insert_missing
from flyball.tracking.tables import journal_refusals, journals


class SqlJournalStore:
    """One row a journal, one row a refused record."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def applied(self, journal_id: str) -> int:
        with self._database.read() as connection:
            found = connection.execute(select(journals.c.applied).where(journals.c.journal_id == journal_id))
            return int(found.scalar() or 0)

    def lock(self, journal_id: str) -> int:
        fresh = {"journal_id": journal_id, "applied": 0, "updated_ms": 0}
        with self._database.transaction() as connection:
            insert_missing(connection, journals, [fresh])
            mine = select(journals.c.applied).where(journals.c.journal_id == journal_id).with_for_update()
            return int(connection.execute(mine).scalar_one())

    def advance(self, journal_id: str, applied: int, *, now_ms: int) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                update(journals).where(journals.c.journal_id == journal_id).values(applied=applied, updated_ms=now_ms)
            )

    def refuse(self, journal_id: str, refusals: Sequence[Refusal]) -> None:
        rows = [
            {"journal_id": journal_id, "sequence": one.sequence, "code": one.code, "message": one.message}
            for one in refusals
        ]
        with self._database.transaction() as connection:
            insert_missing(connection, journal_refusals, rows)

    def refusals(self, journal_id: str, *, first: int, last: int) -> list[Refusal]:
        mine = (
            select(journal_refusals)
            .where(journal_refusals.c.journal_id == journal_id, journal_refusals.c.sequence.between(first, last))
            .order_by(journal_refusals.c.sequence)
        )
        with self._database.read() as connection:
            rows = connection.execute(mine).all()
        return [Refusal(sequence=row.sequence, code=row.code, message=row.message) for row in rows]
