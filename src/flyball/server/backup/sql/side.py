"""One database, as it is copied from or to: its tables as they are, rows in blocks by primary key, at the driver's speed.

A value is the same Python value on both kinds of database: whole numbers, floats, booleans, text, bytes, None. SQLite keeps
booleans as 0 and 1, and has no negative zero, which is therefore zero everywhere.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Inspector, create_engine, inspect, types
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.pool import NullPool

from flyball.kernel.db import BUSY_TIMEOUT_MS, database_file, open_database, translate_faults
from flyball.kernel.errors import Corrupted, FlyballError, InvalidInput, Unsupported
from flyball.kernel.faults import fault_of
from flyball.server.migrations import BOOKKEEPING, revision_on

# Enough that the cost of a statement and of a COMMIT vanishes, few enough that long texts do not fill the memory.
BLOCK_ROWS = 5_000

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableShape:
    """What is needed to copy a table. `booleans` and `floats` are positions; `numbered` is a column the database numbers."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    texts: frozenset[str]
    booleans: tuple[int, ...]
    floats: tuple[int, ...]
    numbered: str | None

    def key_of(self, row: Row) -> Row:
        """Return the primary key of a row."""
        return tuple(row[self.columns.index(name)] for name in self.key)


class Side:
    """A database at one connection of its own. Not to be shared between threads."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.dialect = connection.dialect.name
        self._quote = connection.dialect.identifier_preparer.quote
        self._mark = "?" if self.dialect == "sqlite" else "%s"

    @property
    def driver(self) -> Any:  # noqa: ANN401 -- sqlite3.Connection or psycopg.Connection; the latter may not be installed
        """The driver's connection."""
        return self.connection.connection.dbapi_connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all that is written in the block, or nothing."""
        if self.dialect == "postgresql":
            if self.connection.in_transaction():
                self.connection.rollback()  # what only read has begun one by itself
            with self.connection.begin():
                yield
            return
        with self._by_hand("BEGIN IMMEDIATE"):
            yield

    def snapshot(self) -> AbstractContextManager[None]:
        """Read one state of the database in the block, whatever others write meanwhile."""
        return self.transaction() if self.dialect == "postgresql" else self._by_hand("BEGIN")

    def revision(self) -> str | None:
        """Return the revision of the schema, None where there is no schema of ours."""
        return revision_on(self.connection)

    def tables(self) -> list[TableShape]:
        """Return every table, parents before their children.

        Raises:
            Unsupported: a table has no primary key.
        """
        look = inspect(self.connection)
        ordered = [name for name, _ in look.get_sorted_table_and_fkc_names() if name is not None]
        shapes = [_shape(look, name) for name in ordered if name not in BOOKKEEPING]
        keyless = [shape.name for shape in shapes if not shape.key]
        if keyless:
            raise Unsupported(f"tables without a primary key cannot be copied: {', '.join(keyless)}")
        return shapes

    def blocks(self, table: TableShape, *, after: Row | None = None) -> Iterator[list[Row]]:
        """Walk the rows in the order of the primary key, those behind a key only where one is given.

        Text is ordered by code point on both kinds of database.
        """
        columns = ", ".join(map(self._quote, table.columns))
        key = ", ".join(self._ordered(table, name) for name in table.key)
        marks = ", ".join(self._mark for _ in table.key)
        behind = f"WHERE ({key}) > ({marks}) " if after is not None else ""
        statement = f"SELECT {columns} FROM {self._quote(table.name)} {behind}ORDER BY {key}"
        cursor = self.driver.cursor() if self.dialect == "sqlite" else self.driver.cursor(name="copy", binary=True)
        try:
            with _faults(f"the rows of '{table.name}' cannot be read", Corrupted):
                cursor.execute(statement, after or ())
            while rows := self._next(cursor, table):
                yield _typed(rows, table)
        finally:
            cursor.close()

    def write(self, table: TableShape, rows: Sequence[Row]) -> None:
        """Put rows into the table of that name."""
        with _faults(f"a row of '{table.name}' cannot be kept in {self.dialect}", InvalidInput):
            self._write(table, rows)

    def _write(self, table: TableShape, rows: Sequence[Row]) -> None:
        columns = ", ".join(map(self._quote, table.columns))
        if self.dialect == "sqlite":
            marks = ", ".join("?" for _ in table.columns)
            self.driver.executemany(f"INSERT INTO {self._quote(table.name)} ({columns}) VALUES ({marks})", rows)
            return
        statement = f"COPY {self._quote(table.name)} ({columns}) FROM STDIN"
        with self.driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)

    def is_empty(self, table: TableShape) -> bool:
        """Tell whether a table has no row."""
        return not self.connection.exec_driver_sql(f"SELECT 1 FROM {self._quote(table.name)} LIMIT 1").all()

    def last_number(self, table: TableShape) -> int | None:
        """Return the highest number that was ever given out for a numbered column, None where there was none."""
        if self.dialect == "sqlite":
            query = "SELECT seq FROM sqlite_sequence WHERE name = ?"
            found = self.driver.execute(query, (table.name,)).fetchone() if self._keeps_numbers() else None
        else:
            query = f"SELECT CASE WHEN is_called THEN last_value END FROM {self._sequence(table)}"
            found = self.driver.execute(query).fetchone()
        highest = f"SELECT max({self._quote(table.numbered or '')}) FROM {self._quote(table.name)}"
        given = [value for row in (found, self.driver.execute(highest).fetchone()) for value in row or () if value]
        return max(given, default=None)

    def set_last_number(self, table: TableShape, number: int) -> None:
        """Go on numbering behind a number."""
        if self.dialect == "postgresql":
            self.driver.execute("SELECT setval(%s::regclass, %s)", (self._sequence(table), number))
        elif self._keeps_numbers(table):
            self.driver.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
            self.driver.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table.name, number))

    def check_references(self) -> None:
        """See that every row has its parents; PostgreSQL has seen to it at each write.

        Raises:
            Corrupted: one has not.
        """
        if self.dialect == "sqlite" and (broken := self.driver.execute("PRAGMA foreign_key_check").fetchone()):
            raise Corrupted(f"a row of {broken[0]} points at a row of {broken[2]} that is not there")

    @staticmethod
    def _next(cursor: Any, table: TableShape) -> list[Row]:  # noqa: ANN401 -- a cursor of either driver
        with _faults(f"the rows of '{table.name}' cannot be read", Corrupted):
            found: list[Row] = cursor.fetchmany(BLOCK_ROWS)
        return found

    def _keeps_numbers(self, table: TableShape | None = None) -> bool:
        """Tell whether SQLite remembers the numbers (of a table) that it gave out."""
        query = (
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND sql LIKE '%AUTOINCREMENT%' AND name = ifnull(?, name)"
        )
        return bool(self.driver.execute(query, (table.name if table else None,)).fetchone())

    def _sequence(self, table: TableShape) -> str:
        query = "SELECT pg_get_serial_sequence(%s, %s)"
        return str(self.driver.execute(query, (self._quote(table.name), table.numbered)).fetchone()[0])

    def _ordered(self, table: TableShape, column: str) -> str:
        code_points = ' COLLATE "C"' if self.dialect == "postgresql" and column in table.texts else ""
        return self._quote(column) + code_points

    @contextmanager
    def _by_hand(self, begin: str) -> Iterator[None]:
        self.connection.exec_driver_sql(begin)
        try:
            yield
            self.connection.exec_driver_sql("COMMIT")
        except BaseException:
            if self.driver is not None and self.driver.in_transaction:
                self.connection.exec_driver_sql("ROLLBACK")
            raise


@contextmanager
def open_side(url: str) -> Iterator[Side]:
    """Open a database for copying; nothing is made in it. On SQLite foreign keys are checked at the end, not at each row."""
    file = database_file(url)
    with translate_faults():
        if file is None:
            with closing(open_database(url)) as database:
                repeatable = database.engine.execution_options(isolation_level="REPEATABLE READ")
                with repeatable.connect() as connection:
                    yield Side(connection)
            return
        arguments = {"timeout": BUSY_TIMEOUT_MS / 1000}
        engine = create_engine(
            make_url(f"sqlite:///{file}"), poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=arguments
        )
        with engine.connect() as connection:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=OFF", "cache_size=-32000"):
                connection.exec_driver_sql(f"PRAGMA {pragma}")
            yield Side(connection)


def describe_url(url: str) -> str:
    """Name a database without its password."""
    file = database_file(url)
    return make_url(url).render_as_string(hide_password=True) if file is None else str(file)


@contextmanager
def _faults(what: str, kind: type[FlyballError]) -> Iterator[None]:
    """Say in our words what a driver complains about."""
    try:
        yield
    except Exception as error:
        fault = fault_of(error)
        if fault is None and (isinstance(error, sqlite3.Error | OverflowError) or hasattr(error, "sqlstate")):
            fault = kind(f"{what}: {(str(error).strip() or repr(error)).splitlines()[0]}")
        if fault is None:
            raise
        raise fault from error


def _shape(look: Inspector, name: str) -> TableShape:
    # By name: a column that was added later stands at the end of a table on one kind of database, and not on the other.
    columns = sorted(look.get_columns(name), key=lambda column: column["name"])
    key = tuple(look.get_pk_constraint(name)["constrained_columns"])
    return TableShape(
        name=name,
        columns=tuple(column["name"] for column in columns),
        key=key,
        texts=frozenset(column["name"] for column in columns if isinstance(column["type"], types.String)),
        booleans=tuple(place for place, column in enumerate(columns) if isinstance(column["type"], types.Boolean)),
        floats=tuple(place for place, column in enumerate(columns) if isinstance(column["type"], types.Float)),
        numbered=next(
            (column["name"] for column in columns if (column["name"],) == key and _is_numbered(column)), None
        ),
    )


def _is_numbered(column: ReflectedColumn) -> bool:
    """Tell whether the database numbers a lone key: by a sequence on PostgreSQL, where its type is INTEGER on SQLite."""
    return "nextval" in str(column["default"]) or type(column["type"]) is types.INTEGER


def _typed(rows: Sequence[Row], table: TableShape) -> list[Row]:
    if not table.booleans and not table.floats:
        return list(rows)
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for place in table.booleans:
        columns[place] = [None if value is None else bool(value) for value in columns[place]]
    for place in table.floats:
        columns[place] = [None if value is None else value + 0.0 for value in columns[place]]
    return list(zip(*columns, strict=True))
