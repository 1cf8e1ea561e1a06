"""Statements that SQLite and PostgreSQL share but spell by their own dialect, and statements of many rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from flyball.kernel.db import run_text

ItemT = TypeVar("ItemT")
# SQLite takes 32,766 bound values in one statement, PostgreSQL 65,535; small lists also keep the statement cache small.
CHUNK = 500
# A statement of so many rows at most. Each is prepared once for each power of two, and runs in the database without
# Python in between, which lets other threads work meanwhile.
MOST_ROWS = 256


def chunks(items: Sequence[ItemT]) -> Iterator[Sequence[ItemT]]:
    """Cut a list into pieces that fit into one IN."""
    for at in range(0, len(items), CHUNK):
        yield items[at : at + CHUNK]


def insert_rows(connection: Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Run a statement whose `{rows}` stands for the VALUES, a few hundred rows at a time."""
    for piece in _powers(rows):
        run_text(
            connection, _with_rows(statement, len(piece), len(piece[0])), [value for row in piece for value in row]
        )


def value_rows(connection: Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> list[tuple[Any, ...]]:
    """Run a statement as `insert_rows` does, and return what it returns."""
    found: list[tuple[Any, ...]] = []
    for piece in _powers(rows):
        text = _with_rows(statement, len(piece), len(piece[0]))
        found += run_text(connection, text, [value for row in piece for value in row]).fetchall()
    return found


def _powers(rows: Sequence[ItemT]) -> Iterator[Sequence[ItemT]]:
    """Cut rows into pieces of 256, 128, ... 1, so that few statements are ever prepared."""
    at, size = 0, MOST_ROWS
    while at < len(rows):
        while size > len(rows) - at:
            size //= 2
        yield rows[at : at + size]
        at += size


@lru_cache(maxsize=256)
def _with_rows(statement: str, rows: int, width: int) -> str:
    one = f"({', '.join('?' * width)})"
    return statement.replace("{rows}", ", ".join([one] * rows))


def insert_for(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return the INSERT of the connection's dialect, which knows ON CONFLICT."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def insert_missing(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert the rows whose key is free, and leave the others as they are."""
    if rows:
        connection.execute(insert_for(connection, table).on_conflict_do_nothing(), list(rows))


def put_values(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows; where the primary key is taken, replace `value`."""
    if not rows:
        return
    statement = insert_for(connection, table)
    keys = [column.name for column in table.primary_key]
    connection.execute(
        statement.on_conflict_do_update(index_elements=keys, set_={"value": statement.excluded.value}), list(rows)
    )
