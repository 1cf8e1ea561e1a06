"""`flyball db upgrade`: a backup first, alone on the database, one transaction with its event; from every earlier schema."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.migrations import history
from tests.unit.server.backup.conftest import UrlOf

from flyball.kernel.clock import SystemClock
from flyball.kernel.db import Database, open_database
from flyball.kernel.errors import Conflict, StoreFull
from flyball.kernel.events import Event, EventLog
from flyball.kernel.events.sql import SqlEventStore
from flyball.kernel.settings import Settings, load_settings
from flyball.server import migrations
from flyball.server.backup import upgrading
from flyball.server.backup.places import newest_backup, place_at
from flyball.server.backup.restoring import restore_backup
from flyball.server.backup.upgrading import Upgraded, upgrade_database
from flyball.server.backup.verifying import verify_backup
from flyball.server.occupancy import share_database

NEWEST = migrations.newest()
EARLIER = migrations.revisions()[:-1]

Home = Callable[[str], Settings]


@pytest.fixture
def home(tmp_path: Path, url_of: UrlOf) -> Home:
    def make(kind: str) -> Settings:
        url = url_of(kind) if kind == "postgresql" else ""
        return load_settings({"FLYBALL_HOME": str(tmp_path / "home"), "FLYBALL_DATABASE_URL": url})

    return make


def upgrade(settings: Settings) -> Upgraded:
    return upgrade_database(settings, settings.home / "backups", clock=SystemClock(), tell=lambda _: None)


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    settings.home.mkdir(exist_ok=True, mode=0o700)
    with contextlib.closing(open_database(settings.resolved_database_url)) as database:
        yield database


def state(settings: Settings) -> tuple[str | None, history.Rows]:
    with opened(settings) as database:
        return migrations.current(database), history.content(database)


def newest_event(settings: Settings) -> Event:
    with opened(settings) as database:
        log = EventLog(SqlEventStore(database), SystemClock())
        assert log.verify().intact
        head = log.store.head()
    assert head is not None
    return head


@pytest.mark.parametrize(
    ("kind", "revision"),
    [*(("sqlite", revision) for revision in EARLIER), ("postgresql", EARLIER[0]), ("postgresql", EARLIER[-1])],
)
def test_an_earlier_schema_is_backed_up_and_upgraded_and_the_backup_brings_it_back(
    home: Home, kind: str, revision: str
) -> None:
    settings = home(kind)
    with opened(settings) as database:
        history.upgraded_with_rows(database, revision)
    before = state(settings)
    done = upgrade(settings)
    place = place_at(settings.home / "backups")
    assert done == Upgraded(before=revision, after=NEWEST, backup=newest_backup(place))
    head = newest_event(settings)
    assert (head.kind, dict(head.payload)) == (
        "database.upgraded",
        {"from": revision, "to": NEWEST, "backup": done.backup},
    )
    at, rows = state(settings)
    expected = history.ordered(history.expected_after(revision, newest=NEWEST))
    assert at == NEWEST
    assert {name: found for name, found in rows.items() if name != "events"} == {
        name: found for name, found in expected.items() if name != "events"
    }
    assert verify_backup(place, done.backup, clock=SystemClock()).damage == ()
    restore_backup(settings, place, done.backup, replace=True, damaged=False, clock=SystemClock(), tell=lambda _: None)
    at, rows = state(settings)
    assert at == revision
    assert [row for row in rows["events"] if row["seq"] <= 3] == before[1]["events"]
    assert {**rows, "events": []} == {**before[1], "events": []}
    with pytest.raises(Conflict, match="flyball db upgrade"), opened(settings) as database:
        migrations.require_newest(database)
    assert upgrade(settings).before == revision


def test_a_new_home_gets_the_newest_schema_and_no_backup(home: Home) -> None:
    settings = home("sqlite")
    assert upgrade(settings) == Upgraded(before=None, after=NEWEST)
    assert upgrade(settings) == Upgraded(before=NEWEST, after=NEWEST)
    assert not (settings.home / "backups").exists()


def test_a_running_process_keeps_an_upgrade_out_and_is_named(home: Home) -> None:
    settings = home("sqlite")
    with opened(settings) as database:
        history.upgraded_with_rows(database, EARLIER[0])
    before = state(settings)
    with (
        share_database(settings.resolved_database_url, process="flyball worker"),
        pytest.raises(Conflict, match=r"in use by flyball worker \(process \d+\): stop that first"),
    ):
        upgrade(settings)
    assert state(settings) == before
    assert not (settings.home / "backups").exists()


def test_no_room_for_the_backup_leaves_the_schema_as_it_was(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = home("sqlite")
    with opened(settings) as database:
        history.upgraded_with_rows(database, EARLIER[0])
    before = state(settings)

    def full(*_: object, **__: object) -> None:
        raise StoreFull("the disk is full")

    monkeypatch.setattr(upgrading, "back_up_database", full)
    with pytest.raises(StoreFull):
        upgrade(settings)
    assert state(settings) == before


def test_an_upgrade_killed_between_backup_and_end_is_repeated(home: Home) -> None:
    settings = home("sqlite")
    with opened(settings) as database:
        history.upgraded_with_rows(database, EARLIER[0])
    before = state(settings)
    child = os.fork()
    if child == 0:
        upgrading._record = lambda *_: os.kill(os.getpid(), 9)
        upgrade(settings)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == 9
    assert state(settings) == before
    assert upgrade(settings).before == EARLIER[0]
    assert len(place_at(settings.home / "backups").backups()) == 2


def test_a_newer_schema_is_refused_and_left_alone(home: Home) -> None:
    settings = home("sqlite")
    upgrade(settings)
    with contextlib.closing(sqlite3.connect(settings.home / "flyball.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(Conflict, match="newer than this release: install the release that made it"):
        upgrade(settings)
    assert state(settings)[0] == "9999"
