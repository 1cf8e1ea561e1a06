"""One state of a database as a SQLite file, taken while others write; and such a file, read without touching it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

from flyball.kernel.db import BUSY_TIMEOUT_MS, Database, database_file, open_database, translate_faults
from flyball.kernel.errors import Conflict, NotFound
from flyball.server import migrations
from flyball.server.backup.copying import copy_rows
from flyball.server.backup.sql.side import Side, open_side


def take_snapshot(url: str, into: Path) -> None:
    """Write all that is committed at one moment into a new SQLite file; writers go on meanwhile.

    SQLite copies its pages in one read transaction. PostgreSQL's rows are read in one repeatable-read transaction and put into
    tables of the same revision.

    Raises:
        NotFound: there is no database.
        Conflict: it has no schema of ours.
    """
    file = database_file(url)
    if file is None:
        _copy_rows(url, into)
    else:
        _copy_pages(file, into)
    _make_one_file(into)


def _copy_pages(file: Path, into: Path) -> None:
    if not file.is_file():
        raise NotFound(f"there is no database {file}", field="database")
    with (
        translate_faults(),
        closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(into)) as target,
    ):
        source.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        source.backup(target)  # all pages in one step: in several, every write in between would begin it anew


def _copy_rows(url: str, into: Path) -> None:
    with open_side(url) as source, source.snapshot():
        revision = source.revision()
        if revision is None:
            raise Conflict("the database has no schema of ours; there is nothing to back up", field="database")
        with closing(open_database(f"sqlite:///{into}")) as made:
            migrations.upgrade(made, revision)
        with open_side(f"sqlite:///{into}") as target, target.transaction():
            copy_rows(source, target)


def _make_one_file(path: Path) -> None:
    """Fold the write-ahead log into the file, and put it on disk."""
    with translate_faults(), closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def open_frozen(path: Path) -> Iterator[Database]:
    """Open a SQLite file that nobody changes, only to read: no log and no lock is made beside it."""
    engine = create_engine("sqlite://", creator=lambda: _connect_frozen(path), poolclass=NullPool)
    with translate_faults(), closing(Database(engine, OneConnection(None))) as database:
        yield database


@contextmanager
def open_frozen_side(path: Path) -> Iterator[Side]:
    """Open such a file as one to copy from."""
    with open_frozen(path) as database, database.read() as connection:
        yield Side(connection)


def damaged_pages(path: Path) -> list[str]:
    """Let SQLite check the structure of a file; return what it complains about."""
    with closing(_connect_frozen(path)) as connection:
        try:
            found = [str(line) for (line,) in connection.execute("PRAGMA integrity_check(3)")]
        except sqlite3.DatabaseError as error:
            return [str(error)]
    return [line for line in found if line != "ok"]


def _connect_frozen(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, check_same_thread=False)


class OneConnection:
    """A writer inside of a transaction which its caller has opened and will end; without one, nothing can be written."""

    def __init__(self, connection: Connection | None) -> None:
        self._connection = connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        if self._connection is None:
            raise Conflict("this database is only read")
        yield self._connection

    def close(self) -> None:
        self._connection = None  # it is its caller's


def joined(connection: Connection) -> Database:
    """Return a database whose every change belongs to the transaction of one connection."""
    engine: Engine = connection.engine
    return Database(engine, OneConnection(connection))
