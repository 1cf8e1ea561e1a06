"""One transaction for changes of the schema: all of them are kept, or none, however the process ends.

Python's SQLite driver commits before most statements that change tables, and SQLite cannot switch its checks of foreign keys
inside a transaction. So this connection begins and commits by itself, with the checks off; they are made at the end, all at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from flyball.kernel.db import BUSY_TIMEOUT_MS, Database, translate_faults
from flyball.kernel.errors import Corrupted


@contextmanager
def schema_transaction(database: Database) -> Iterator[Connection]:
    """Open a connection on which tables can be made and rebuilt; committed at the end of the block, or undone.

    Raises:
        Corrupted: a row points at one that is not there; nothing was kept.
    """
    if database.dialect == "sqlite":
        with translate_faults(), _sqlite(database) as connection:
            yield connection
        return
    with translate_faults(), database.engine.begin() as connection:
        yield connection


@contextmanager
def _sqlite(database: Database) -> Iterator[Connection]:
    arguments = {"timeout": BUSY_TIMEOUT_MS / 1000}
    engine = create_engine(
        database.engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=arguments
    )
    with engine.connect() as connection:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=OFF"):
            connection.exec_driver_sql(f"PRAGMA {pragma}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
            _check_references(connection)
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            driver = connection.connection.dbapi_connection
            if driver is not None and driver.in_transaction:
                connection.exec_driver_sql("ROLLBACK")
            raise


def _check_references(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(3)
    if broken:
        found = ", ".join(f"{table} (row {row}) → {parent}" for table, row, parent, _ in broken)
        raise Corrupted(f"rows point at rows that are not there: {found}; nothing was changed")
