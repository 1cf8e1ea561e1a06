"""One moment of a database: every statement sees the same rows, however long the reading takes and whoever writes meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Open a connection that reads one moment and writes nothing."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # The driver opens no transaction for a SELECT; the moment is that of the first read.
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").close()
        else:
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        try:
            yield connection
        finally:
            connection.rollback()
