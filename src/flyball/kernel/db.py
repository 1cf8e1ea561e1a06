"""The database: SQLite or PostgreSQL behind one re-entrant transaction.

A write returns only after its COMMIT did, so an acknowledged write is durable. On SQLite one connection of a process writes,
and concurrent small writes share a COMMIT (see `group_commit`).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool, QueuePool

from flyball.kernel.errors import FlyballError, InvalidInput, MissingExtra, Unavailable, Unsupported
from flyball.kernel.faults import fault_of
from flyball.kernel.filesystem import refuse_network_filesystem
from flyball.kernel.group_commit import GroupCommit

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every room's tables register here; the migrations read it."""

# Another process (the worker, a model server) may hold the write lock for a whole group; a minute is far beyond that.
BUSY_TIMEOUT_MS = 60_000
READERS = 8
_PART = "part"


class Database:
    """A store of tables. Share one per process; every method may be called from any thread."""

    def __init__(self, engine: Engine, writer: _Writer) -> None:
        self._engine = engine
        self._writer = writer
        self._local = threading.local()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @property
    def engine(self) -> Engine:
        """The engine, for migrations only."""
        return self._engine

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a write transaction, or join the one this thread is in.

        All of it is committed when the outermost block ends, or nothing is. That holds as well when an inner block failed
        and its error was caught on the way: the outermost block then raises.

        Raises:
            StoreFull: the disk is full; nothing of this transaction was kept.
            Unavailable: the database was locked too long, or is out of reach.
        """
        current: Connection | None = getattr(self._local, "connection", None)
        if current is None:
            with translate_faults(), self._writer.write() as connection:
                yield from self._outermost(connection)
            return
        try:
            yield current
        except BaseException as error:
            self._local.failed = error
            raise

    def _outermost(self, connection: Connection) -> Iterator[Connection]:
        self._local.connection, self._local.failed = connection, None
        try:
            yield connection
            self._require_whole()
        finally:
            self._local.connection = self._local.failed = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a connection to read what is committed; inside a transaction, see what it has written as well."""
        current: Connection | None = getattr(self._local, "connection", None)
        if current is not None:
            yield current
            return
        with translate_faults(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def savepoint(self) -> Iterator[Connection]:
        """Open a part of the transaction that this thread is in: an error undoes this part, and the rest goes on.

        Raises:
            StoreFull, Unavailable: as `transaction`; the whole transaction is lost then, and says so at its end.
        """
        connection: Connection = self._local.connection
        before = self._local.failed
        run_text(connection, f"SAVEPOINT {_PART}")
        try:
            with translate_faults():
                yield connection
            self._require_whole(before)
        except BaseException:
            with translate_faults():
                run_text(connection, f"ROLLBACK TO SAVEPOINT {_PART}")
                run_text(connection, f"RELEASE SAVEPOINT {_PART}")
            self._local.failed = before
            raise
        run_text(connection, f"RELEASE SAVEPOINT {_PART}")

    def _require_whole(self, before: BaseException | None = None) -> None:
        """Raise where a part of this change failed, and its error was caught on the way."""
        failed: BaseException | None = self._local.failed
        if failed is not before:
            raise FlyballError(f"a part of this change failed, so nothing of it was kept: {failed}") from failed

    def close(self) -> None:
        """Close every connection."""
        self._writer.close()
        self._engine.dispose()


class _Writer(Protocol):
    def write(self) -> AbstractContextManager[Connection]: ...

    def close(self) -> None: ...


def open_database(url: str) -> Database:
    """Open the database at a URL; its tables must already be there (see `server/migrations`).

    Raises:
        InvalidInput: the URL cannot be read.
        Unsupported: another database, or SQLite on a network file system.
    """
    file = database_file(url)
    return _open_postgres(url) if file is None else _open_sqlite(file)


def database_file(url: str) -> Path | None:
    """Return the file of a SQLite database, None for PostgreSQL.

    Raises:
        InvalidInput: the URL cannot be read.
        Unsupported: another kind of database, or SQLite in memory.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InvalidInput(
            "that is no database URL; examples: sqlite:////var/lib/flyball/flyball.db, postgresql+psycopg://user@host/name",
            field="database_url",
        ) from error
    kind = parsed.get_backend_name()
    if kind == "postgresql":
        return None
    if kind != "sqlite":
        raise Unsupported(f"'{kind}' is not supported; use sqlite or postgresql", field="database_url")
    if not parsed.database or parsed.database == ":memory:":
        raise Unsupported(
            "an in-memory SQLite database is not shared between processes; name a file", field="database_url"
        )
    return Path(parsed.database).absolute()


def run_text(connection: Connection, statement: str, values: Sequence[object] = ()) -> Any:  # noqa: ANN401 -- the driver's cursor
    """Run a statement in the driver's own words, with `?` for each value, and return its cursor.

    For paths where building a statement costs more than running it. Errors are the driver's; `transaction` and `read`
    translate them.
    """
    if connection.dialect.name == "sqlite":
        return cast("sqlite3.Connection", connection.connection.driver_connection).execute(statement, values)
    return connection.exec_driver_sql(statement.replace("?", "%s"), tuple(values))


@contextmanager
def translate_faults() -> Iterator[None]:
    """Turn the driver's faults into ours; every other error passes through."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        fault = fault_of(error)
        if fault is None:
            raise
        raise fault from error
    except PoolTimeout as error:
        raise Unavailable("all connections to the database are in use; repeat the call") from error


def _open_sqlite(path: Path) -> Database:
    refuse_network_filesystem(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{path}"
    arguments = {"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000}
    readers = create_engine(url, poolclass=QueuePool, pool_size=READERS, max_overflow=READERS, connect_args=arguments)
    writer = create_engine(url, poolclass=NullPool, connect_args=arguments, isolation_level="AUTOCOMMIT")
    for engine in (readers, writer):
        event.listen(engine, "connect", _prepare_sqlite)
    event.listen(writer, "connect", _prepare_writer)
    return Database(readers, _SqliteWriter(writer))


def _prepare_sqlite(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA journal_mode=WAL")  # readers never wait for the writer
    cursor.execute("PRAGMA synchronous=FULL")  # COMMIT returns after fsync: acknowledged means durable
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA cache_size=-32000")  # 32 MB a connection: the hot indexes of a large store
    cursor.close()


def _prepare_writer(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA busy_timeout=0")  # the group commit waits by itself
    # What a statement of many rows would undo is kept in memory: a file for it is made and deleted at every turn.
    cursor.execute("PRAGMA temp_store=MEMORY")
    cursor.close()


class _SqliteWriter:
    """One connection that all writers of this process share in turns."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._opened: Connection | None = None
        self._driver: sqlite3.Connection | None = None
        self._group_commit = GroupCommit(self._connect, self._discard)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._group_commit.member():
            assert self._opened is not None
            yield self._opened

    def close(self) -> None:
        self._group_commit.close()

    def _connect(self) -> sqlite3.Connection:
        if self._opened is None or self._driver is None:
            self._opened = self._engine.connect()
            self._driver = cast("sqlite3.Connection", self._opened.connection.dbapi_connection)
        return self._driver

    def _discard(self) -> None:
        # Closed at the driver: an interrupt may have left the connection in a state in which SQLAlchemy refuses to close it.
        opened, driver, self._opened, self._driver = self._opened, self._driver, None, None
        if driver is not None:
            driver.close()
        if opened is not None:
            opened.invalidate()
            opened.close()


def _open_postgres(url: str) -> Database:
    try:
        engine = create_engine(url, pool_size=READERS, max_overflow=READERS, pool_pre_ping=True)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise MissingExtra.named("psycopg", "postgres") from error
    return Database(engine, _PostgresWriter(engine))


class _PostgresWriter:
    """A pooled connection per transaction; PostgreSQL groups commits by itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()
