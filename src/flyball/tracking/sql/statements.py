"""Statements that SQLite and PostgreSQL share but spell by their own dialect: inserts that meet an existing row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

ItemT = TypeVar("ItemT")
# SQLite takes 32,766 bound values in one statement, PostgreSQL 65,535; small lists also keep the statement cache small.
CHUNK = 500


def chunks(items: Sequence[ItemT]) -> Iterator[Sequence[ItemT]]:
    """Cut a list into pieces that fit into one IN."""
    for at in range(0, len(items), CHUNK):
        yield items[at : at + CHUNK]


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
