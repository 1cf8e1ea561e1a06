"""Real services and fresh stores for every test."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
import structlog
from psycopg import sql
from tests.postgres import started_postgres

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database, open_database
from flyball.server.migrations import upgrade

# No test is about time: a busy machine would fail what is right.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
# What a process that configures no logs gets draws each exception with the values of all variables: for seconds, on a busy
# machine. Our processes write plain ones.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

# Folders whose files take longest, longest first: a file is one worker's, and one begun last is waited for by all the others.
LONG_FIRST = ("faults", "e2e", "docs", "api", "migrations", "protocol")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first; `--no-loadscope-reorder` keeps pytest-xdist from sorting them by how many tests they have."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        return LONG_FIRST.index(folder) if folder in LONG_FIRST else len(LONG_FIRST)

    items.sort(key=rank)


def _named(postgres_uri: str, name: str) -> str:
    """Return the URL of a database on the server."""
    return postgres_uri.replace("/postgres?", f"/{name}?").replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture(scope="session")
def postgres_uri(worker_id: str) -> Iterator[str]:
    """Start one PostgreSQL server a worker, from the binaries that a Python package carries.

    Its folder is not pytest's: for root, the server runs as another account, and the next pytest that starts on the same
    machine shuts that account out of pytest's folder.
    """
    with tempfile.TemporaryDirectory(prefix=f"flyball-postgres-{worker_id}-", ignore_cleanup_errors=True) as folder:
        server = started_postgres(Path(folder))
        try:
            uri = server.get_uri()
            with psycopg.connect(uri, autocommit=True) as connection:  # no test cuts the power, none lasts
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("ALTER SYSTEM SET autovacuum = off")
                connection.execute("SELECT pg_reload_conf()")
            yield uri
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def postgres_migrated(postgres_uri: str) -> str:
    """Make one PostgreSQL database with the newest schema, and return its URL."""
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute("CREATE DATABASE flyball_migrated")
    url = _named(postgres_uri, "flyball_migrated")
    with contextlib.closing(open_database(url)) as opened:
        upgrade(opened)
    return url


@pytest.fixture
def postgres(postgres_migrated: str) -> Iterator[Database]:
    """Open a PostgreSQL database with the newest schema; emptied afterwards, which is faster than made anew."""
    with contextlib.closing(open_database(postgres_migrated)) as opened:
        yield opened
    with psycopg.connect(postgres_migrated.replace("postgresql+psycopg://", "postgresql://"), autocommit=True) as left:
        left.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        names = left.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        )
        left.execute(
            sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(
                sql.SQL(", ").join(sql.Identifier(name) for (name,) in names)
            )
        )


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one SQLite file with the newest schema, to be copied for each test."""
    path = tmp_path_factory.mktemp("template") / "flyball.db"
    with contextlib.closing(open_database(f"sqlite:///{path}")) as opened:
        upgrade(opened)
    return path


@pytest.fixture
def postgres_url(postgres_uri: str) -> Iterator[str]:
    """Make an empty PostgreSQL database, and drop it afterwards."""
    with empty_postgres(postgres_uri) as url:
        yield url


@contextlib.contextmanager
def empty_postgres(postgres_uri: str) -> Iterator[str]:
    """Make an empty PostgreSQL database for a fixture of any scope, and drop it afterwards."""
    name = f"flyball_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield _named(postgres_uri, name)
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'flyball.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """Open a database of each kind with the newest schema."""
    opened = request.getfixturevalue({"sqlite": "sqlite", "postgresql": "postgres"}[request.param])
    assert isinstance(opened, Database)
    return opened


@pytest.fixture
def sqlite(tmp_path: Path, sqlite_template: Path) -> Iterator[Database]:
    """Open a SQLite database with the newest schema; alone, for tests in which the kind of database plays no part."""
    path = shutil.copyfile(sqlite_template, tmp_path / "flyball.db")
    with contextlib.closing(open_database(f"sqlite:///{path}")) as opened:
        yield opened


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that moves only when told to."""
    return ManualClock()
