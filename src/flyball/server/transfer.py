"""Open the stores of a home for a move in or out, beside whatever processes are running on them."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from flyball.artifacts import Artifacts
from flyball.artifacts.opening import open_blob_store
from flyball.artifacts.sql import SqlNameStore
from flyball.kernel.clock import SystemClock
from flyball.kernel.db import Database, open_database
from flyball.kernel.errors import Conflict
from flyball.kernel.events import EventLog
from flyball.kernel.events.sql import SqlEventStore
from flyball.kernel.settings import Settings
from flyball.registry.sql import open_stores as open_registry
from flyball.server import migrations
from flyball.server.home import PRIVATE_FILE, prepare_home
from flyball.server.occupancy import share_database
from flyball.tracking.sql import open_stores as open_tracking
from flyball.transfer.sql.imports import SqlFinish, SqlImportStore
from flyball.transfer.target import Target

ACTOR = "service:import"
LOCK_FILE = "import.lock"


@contextlib.contextmanager
def open_target(settings: Settings) -> Iterator[Target]:
    """Open the stores to read and to write; an empty database gets its schema first.

    Raises:
        Conflict: the schema is of another release, another import is at work in this home, or
            somebody has the database alone.
    """
    prepare_home(settings)
    with _alone(settings), _database(settings, process="flyball import") as database:
        if migrations.current(database) is None:
            migrations.upgrade(database)
        yield _stores(settings, database)


@contextlib.contextmanager
def open_stores(settings: Settings) -> Iterator[Target]:
    """Open the stores to read.

    Raises:
        Conflict: the schema is of another release, or somebody has the database alone.
    """
    with _database(settings, process="flyball export") as database:
        yield _stores(settings, database)


@contextlib.contextmanager
def _database(settings: Settings, *, process: str) -> Iterator[Database]:
    url = settings.resolved_database_url
    with share_database(url, process=process), contextlib.closing(open_database(url)) as database:
        yield database


def _stores(settings: Settings, database: Database) -> Target:
    migrations.require_newest(database)
    clock = SystemClock()
    return Target(
        database=database,
        tracking=open_tracking(database),
        registry=open_registry(database),
        artifacts=Artifacts(open_blob_store(settings), SqlNameStore(database), database),
        events=EventLog(SqlEventStore(database), clock),
        imports=SqlImportStore(database),
        finish=SqlFinish(database),
        clock=clock,
        actor=ACTOR,
    )


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Keep a second import out; the lock goes with the process, however that ends."""
    descriptor = os.open(settings.home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(f"another import is at work in {settings.home}; wait for it to end", field="home") from error
        yield
    finally:
        os.close(descriptor)
