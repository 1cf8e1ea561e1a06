"""What SQLite and PostgreSQL say in the same words, but each in its own module of the library."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TypeVar

from sqlalchemy import ColumnElement, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from flyball.kernel.db import Database
from flyball.monitoring.ports import Grid

IdT = TypeVar("IdT", str, int)

# Well below the 32,766 parameters that SQLite takes in one statement.
IDS_PER_QUERY = 5_000


def insert_new(database: Database, table: Table) -> Insert:
    """Build an INSERT that leaves an existing row as it is."""
    if database.dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def upsert(database: Database, table: Table, *, keys: Collection[str], change: Collection[str]) -> Insert:
    """Build an INSERT that replaces the columns in `change` where a row with these `keys` exists."""
    if database.dialect == "postgresql":
        on_postgres = postgresql.insert(table)
        return on_postgres.on_conflict_do_update(
            index_elements=list(keys), set_={name: on_postgres.excluded[name] for name in change}
        )
    on_sqlite = sqlite.insert(table)
    return on_sqlite.on_conflict_do_update(
        index_elements=list(keys), set_={name: on_sqlite.excluded[name] for name in change}
    )


def in_pages(ids: Collection[IdT]) -> Iterator[list[IdT]]:
    """Cut many ids into as many as one query can take."""
    every = list(ids)
    for start in range(0, len(every), IDS_PER_QUERY):
        yield every[start : start + IDS_PER_QUERY]


def window_number(time_ms: ColumnElement[int], grid: Grid) -> ColumnElement[int]:
    """Number the window of each row. The shift by one window keeps the division away from negative numbers."""
    offset = grid.window_ms - grid.origin_ms % grid.window_ms
    return (time_ms + offset) // grid.window_ms


def start_of_number(number: int, grid: Grid) -> int:
    """Return the start of a window by its number."""
    return int(number) * grid.window_ms - (grid.window_ms - grid.origin_ms % grid.window_ms)
