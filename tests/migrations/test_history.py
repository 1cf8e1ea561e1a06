"""Every earlier schema, with rows in it, becomes the newest; on SQLite and on PostgreSQL."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, event
from tests.architecture.source import import_all
from tests.migrations import history

from flyball.kernel.clock import SystemClock
from flyball.kernel.db import Database, metadata, open_database
from flyball.kernel.errors import Corrupted
from flyball.kernel.events import EventLog
from flyball.kernel.events.sql import SqlEventStore
from flyball.server import migrations

EVERY = migrations.revisions()
NEWEST = migrations.newest()
EARLIEST = EVERY[0]
KILLS = 12

# Indexes by expression are compared as the statements that the database keeps.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Skipped unsupported reflection"),
    pytest.mark.filterwarnings("ignore:autogenerate skipping"),
]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Open a database without a schema, of each kind."""
    file = f"sqlite:///{tmp_path / 'empty.db'}"
    url = file if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))
    with contextlib.closing(open_database(url)) as opened:
        yield opened


@pytest.fixture
def newest(request: pytest.FixtureRequest, empty: Database) -> Database:
    """Open a database of the same kind that was made with the newest schema."""
    found = request.getfixturevalue({"sqlite": "sqlite", "postgresql": "postgres"}[empty.dialect])
    assert isinstance(found, Database)
    return found


def test_every_table_has_rows_to_migrate() -> None:
    import_all()
    assert {table for table, rows in history.rows_at(NEWEST).items() if rows} == set(metadata.tables)


@pytest.mark.parametrize("revision", EVERY)
def test_rows_of_an_earlier_schema_become_those_of_the_newest(empty: Database, revision: str) -> None:
    history.upgraded_with_rows(empty, revision)
    assert history.content(empty) == history.ordered(history.rows_at(revision))
    migrations.upgrade(empty)
    migrations.require_newest(empty)
    assert history.content(empty) == history.ordered(history.expected_after(revision, newest=NEWEST))
    checked = EventLog(SqlEventStore(empty), SystemClock()).verify()
    assert (checked.intact, checked.count) == (True, 3)


@pytest.mark.parametrize("revision", EVERY)
def test_an_upgraded_schema_is_that_of_a_new_database(empty: Database, newest: Database, revision: str) -> None:
    history.upgraded_with_rows(empty, revision)
    migrations.upgrade(empty)
    assert history.shape(empty.engine) == history.shape(newest.engine)


def test_the_tables_of_the_code_are_those_of_the_history(empty: Database, newest: Database) -> None:
    import_all()
    with newest.read() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "target_metadata": metadata}
        )
        assert compare_metadata(context, metadata) == []
    metadata.create_all(empty.engine)
    made = history.shape(empty.engine)
    migrated = history.shape(newest.engine)
    assert made == {name: what for name, what in migrated.items() if name != history.BOOKKEEPING}


@pytest.mark.parametrize("kind", ["first", "last", "seeded"])
def test_an_upgrade_that_is_killed_leaves_the_old_schema_whole_and_can_be_repeated(empty: Database, kind: str) -> None:
    history.upgraded_with_rows(empty, EARLIEST)
    before, rows = history.shape(empty.engine), history.content(empty)
    url = empty.engine.url.render_as_string(hide_password=False)
    count = _statements(url)
    chosen = random.Random(kind).sample(range(2, count - 1), KILLS)
    for boundary in {"first": [0, 1], "last": [count - 1], "seeded": chosen}[kind]:
        assert _killed_at(url, boundary) == -signal.SIGKILL
        assert migrations.current(empty) == EARLIEST
        assert (history.shape(empty.engine), history.content(empty)) == (before, rows)
    migrations.upgrade(empty)
    assert history.content(empty) == history.ordered(history.expected_after(EARLIEST, newest=NEWEST))


def test_an_upgrade_on_sqlite_that_leaves_a_row_without_its_parent_is_undone(tmp_path: Path) -> None:
    with contextlib.closing(open_database(f"sqlite:///{tmp_path / 'flyball.db'}")) as database:
        history.upgraded_with_rows(database, "0003")
        before = history.content(database)

        def orphan(connection: Connection) -> None:
            connection.exec_driver_sql("DELETE FROM registered_models")

        with pytest.raises(Corrupted, match="model_tags"):
            migrations.upgrade(database, finish=orphan)
        assert migrations.current(database) == "0003"
        assert history.content(database) == before


def _statements(url: str) -> int:
    """Count the statements of an upgrade from the earliest schema, by one that dies at none and is undone at its end."""
    receiving, sending = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_upgrade, args=(url, None, sending))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    return int(receiving.recv())


def _killed_at(url: str, boundary: int) -> int | None:
    child = multiprocessing.get_context("fork").Process(target=_upgrade, args=(url, boundary, None))
    child.start()
    child.join()
    return child.exitcode


def _upgrade(url: str, boundary: int | None, tell: object) -> None:
    passed = 0

    def count(*_: object) -> None:
        nonlocal passed
        if passed == boundary:
            os.kill(os.getpid(), signal.SIGKILL)
        passed += 1

    def finish(_connection: object) -> None:
        if tell is not None:
            tell.send(passed)  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGKILL)

    database = open_database(url)
    event.listen(Engine, "after_cursor_execute", count)
    migrations.upgrade(database, finish=finish)
