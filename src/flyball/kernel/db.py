"""The database: SQLite or PostgreSQL behind one re-entrant transaction.

On SQLite one connection writes, and concurrent small writes share a COMMIT: who finds others waiting leaves the commit
to them and waits until it is on disk. A write returns only after its COMMIT did, so an acknowledged write is durable.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.pool import NullPool, QueuePool

from flyball.kernel.errors import FlyballError, InvalidInput, MissingExtra, StoreFull, Unavailable, Unsupported
from flyball.kernel.filesystem import refuse_network_filesystem

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
# A group is closed after this many members or this long, so that nobody's fsync waits behind an endless queue.
GROUP_MEMBERS = 64
GROUP_SECONDS = 0.005
# If the member that was to commit dies before it can (an interrupt), the next waiter does it after this long.
GROUP_PATIENCE_SECONDS = 0.05
READERS = 8
POSTGRES_DISK_FULL = "53100"


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

        All of it is committed when the outermost block ends, or nothing is.

        Raises:
            StoreFull: the disk is full; nothing of this transaction was kept.
            Unavailable: the database was locked too long, or is out of reach.
        """
        current: Connection | None = getattr(self._local, "connection", None)
        if current is not None:
            yield current
            return
        with translate_faults(), self._writer.write() as connection:
            self._local.connection = connection
            try:
                yield connection
            finally:
                self._local.connection = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read-only snapshot; inside a transaction, see what it has written."""
        current: Connection | None = getattr(self._local, "connection", None)
        if current is not None:
            yield current
            return
        with translate_faults(), self._engine.connect() as connection:
            yield connection

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
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InvalidInput(
            f"'{url}' is no database URL; example: sqlite:////var/lib/flyball/flyball.db", field="database_url"
        ) from error
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed.database)
    if parsed.get_backend_name() == "postgresql":
        return _open_postgres(url)
    raise Unsupported(f"'{parsed.get_backend_name()}' is not supported; use sqlite or postgresql", field="database_url")


@contextmanager
def translate_faults() -> Iterator[None]:
    """Turn the driver's faults into ours; every other error passes through."""
    try:
        yield
    except DBAPIError as error:
        fault = _fault(error)
        if fault is None:
            raise
        raise fault from error


def _fault(error: DBAPIError) -> FlyballError | None:
    text = str(error.orig).lower()
    if "disk is full" in text or "disk i/o error" in text or getattr(error.orig, "sqlstate", "") == POSTGRES_DISK_FULL:
        return StoreFull("the database's disk is full; nothing of this change was kept: free space and repeat it")
    if "locked" in text:
        return Unavailable("the database is locked by another process; repeat the call")
    if isinstance(error, OperationalError) and error.connection_invalidated:
        return Unavailable("the database is out of reach; repeat the call")
    return None


def _open_sqlite(database: str | None) -> Database:
    if not database or database == ":memory:":
        raise Unsupported(
            "an in-memory SQLite database is not shared between processes; name a file", field="database_url"
        )
    path = Path(database).absolute()
    refuse_network_filesystem(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{path}"
    arguments = {"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000}
    readers = create_engine(url, poolclass=QueuePool, pool_size=READERS, max_overflow=READERS, connect_args=arguments)
    writer = create_engine(url, poolclass=NullPool, connect_args=arguments, isolation_level="AUTOCOMMIT")
    for engine in (readers, writer):
        event.listen(engine, "connect", _prepare_sqlite)
    return Database(readers, _SqliteWriter(writer))


def _prepare_sqlite(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA journal_mode=WAL")  # readers never wait for the writer
    cursor.execute("PRAGMA synchronous=FULL")  # COMMIT returns after fsync: acknowledged means durable
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA cache_size=-32000")  # 32 MB a connection: the hot indexes of a large store
    cursor.close()


class _Group:
    """The writes that share one COMMIT."""

    def __init__(self) -> None:
        self.members = 0
        self.opened = time.monotonic()
        self.ended = threading.Event()
        self.error: BaseException | None = None

    @property
    def full(self) -> bool:
        return self.members >= GROUP_MEMBERS or time.monotonic() - self.opened > GROUP_SECONDS


class _SqliteWriter:
    """One connection, one member at a time, one COMMIT for all who queued up meanwhile."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._opened: Connection | None = None
        self._turn = threading.Lock()
        self._waiting = 0
        self._count = threading.Lock()
        self._group: _Group | None = None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        self._queue(1)
        try:
            self._turn.acquire()
        finally:
            self._queue(-1)
        try:
            group = self._join()
            try:
                with self._member(group) as connection:
                    yield connection
            finally:
                if self._group is group and (not self._waiting or group.full):
                    self._commit(group)
        finally:
            self._turn.release()
        self._await(group)

    def close(self) -> None:
        with self._turn:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _queue(self, change: int) -> None:
        with self._count:
            self._waiting += change

    @property
    def _connection(self) -> Connection:
        if self._opened is None:
            self._opened = self._engine.connect()
        return self._opened

    def _join(self) -> _Group:
        if self._group is None:
            self._connection.exec_driver_sql("BEGIN IMMEDIATE")
            self._group = _Group()
        self._group.members += 1
        return self._group

    @contextmanager
    def _member(self, group: _Group) -> Iterator[Connection]:
        connection = self._connection
        connection.exec_driver_sql("SAVEPOINT member")
        try:
            yield connection
            connection.exec_driver_sql("RELEASE member")
        except BaseException as error:
            if self._in_transaction():
                connection.exec_driver_sql("ROLLBACK TO member")
                connection.exec_driver_sql("RELEASE member")
            else:  # SQLite itself rolled everything back, the other members' work included: full disk, I/O error
                self._end(group, error)
            raise

    def _in_transaction(self) -> bool:
        return bool(self._connection.connection.dbapi_connection.in_transaction)  # type: ignore[union-attr]

    def _commit(self, group: _Group) -> None:
        try:
            self._connection.exec_driver_sql("COMMIT")
        except DBAPIError as error:
            if self._in_transaction():
                self._connection.exec_driver_sql("ROLLBACK")
            self._end(group, error)
        else:
            self._end(group, None)

    def _end(self, group: _Group, error: BaseException | None) -> None:
        self._group = None
        group.error = error
        group.ended.set()

    def _await(self, group: _Group) -> None:
        while not group.ended.wait(GROUP_PATIENCE_SECONDS):
            with self._turn:
                if self._group is group:
                    self._commit(group)
        if group.error is not None:
            raise group.error


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
