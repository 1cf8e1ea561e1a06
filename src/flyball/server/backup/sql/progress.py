"""How far a move has come, kept in the database that it fills, in the same transactions as the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from sqlalchemy import Connection, inspect

from flyball.kernel.errors import Conflict
from flyball.server.backup.sql.side import Row, Side, TableShape
from flyball.server.migrations import UNFINISHED

# The row that says which database is moved; no table has an empty name.
ORIGIN = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableProgress:
    """The key of the last row that was copied, and whether it was the last of all."""

    last: Row
    complete: bool


class Progress:
    """The notes of one move, in a table that goes away with the end of the move."""

    def __init__(self, side: Side) -> None:
        self._side = side

    def exists(self) -> bool:
        """Tell whether a move into this database was begun and not ended."""
        return bool(inspect(self._side.connection).has_table(UNFINISHED))

    def begin(self, origin: str) -> None:
        """Begin the notes."""
        self._run(f"CREATE TABLE {UNFINISHED} (name TEXT PRIMARY KEY, last TEXT NOT NULL, complete INTEGER NOT NULL)")
        self._note(ORIGIN, origin, complete=0)

    def resume(self, origin: str) -> None:
        """Go on with notes that are there.

        Raises:
            Conflict: they are of the move of another database.
        """
        found = self._run(f"SELECT last FROM {UNFINISHED} WHERE name = {self._mark}", (ORIGIN,)).fetchone()[0]
        if found != origin:
            raise Conflict(
                f"the target holds an unfinished move from {found}, not from {origin}: finish that one, or name an empty target",
                field="to",
            )

    def tables(self) -> Mapping[str, TableProgress]:
        """Return how far each table came; those not begun are not there."""
        rows = self._run(f"SELECT name, last, complete FROM {UNFINISHED} WHERE name <> {self._mark}", (ORIGIN,))
        return {
            name: TableProgress(last=_read_key(last), complete=bool(complete))
            for name, last, complete in rows.fetchall()
        }

    def note(self, table: TableShape, last: Row | None) -> None:
        """Note the last row copied, None for the end of the table; in the transaction of the rows."""
        self._note(table.name, "" if last is None else msgspec.msgpack.encode(last).hex(), complete=int(last is None))

    def _note(self, name: str, last: str, *, complete: int) -> None:
        mark = self._mark
        self._run(f"DELETE FROM {UNFINISHED} WHERE name = {mark}", (name,))
        self._run(
            f"INSERT INTO {UNFINISHED} (name, last, complete) VALUES ({mark}, {mark}, {mark})", (name, last, complete)
        )

    @property
    def _mark(self) -> str:
        return "?" if self._side.dialect == "sqlite" else "%s"

    def _run(self, statement: str, values: tuple[Any, ...] = ()) -> Any:  # noqa: ANN401 -- a cursor of either driver
        return self._side.driver.execute(statement, values)


def _read_key(last: str) -> Row:
    return tuple(cast("list[Any]", msgspec.msgpack.decode(bytes.fromhex(last)))) if last else ()


def end_move(connection: Connection) -> None:
    """Take the notes away: from here on the database is whole."""
    connection.exec_driver_sql(f"DROP TABLE {UNFINISHED}")
