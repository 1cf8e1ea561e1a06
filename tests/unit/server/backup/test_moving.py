"""`flyball db move`: the same rows on the other side, whatever kinds of database, whenever it was killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.migrations import history
from tests.unit.server.backup.conftest import POINTS, UrlOf, fill

from flyball.kernel.clock import ManualClock, SystemClock
from flyball.kernel.db import Database, open_database
from flyball.kernel.errors import Conflict, Corrupted, InvalidInput, NotFound
from flyball.kernel.events import EventLog
from flyball.kernel.events.sql import SqlEventStore
from flyball.server import migrations
from flyball.server.backup.moving import Moved, move_database
from flyball.server.backup.sql import progress, side
from flyball.server.occupancy import share_database

WAYS = [("sqlite", "postgresql"), ("postgresql", "sqlite"), ("sqlite", "sqlite-2")]
ways = pytest.mark.parametrize(("source", "target"), WAYS)
# An event about the move is all that the target has and the source has not.
APART = ("events", "edges")
# A move of all tables makes more than a hundred notes.
NOTES = 11

Opened = Callable[[str], Database]


def move(source: str, target: str) -> Moved:
    return move_database(source, target, clock=ManualClock(), tell=lambda _: None)


def filled(url: str) -> str:
    with contextlib.closing(open_database(url)) as database:
        fill(database)
    return url


def everything(url: str) -> history.Rows:
    with contextlib.closing(open_database(url)) as database:
        return history.content(database)


def assert_moved(source: str, target: str) -> None:
    before, after = everything(source), everything(target)
    assert before == {name: rows for name, rows in after.items() if name not in APART} | {
        name: before[name] for name in APART
    }
    with contextlib.closing(open_database(target)) as database:
        migrations.require_newest(database)
        log = EventLog(SqlEventStore(database), SystemClock())
        checked, head = log.verify(), log.store.head()
        assert (checked.intact, checked.count) == (True, len(before["events"]) + 1)
        assert head is not None
        assert head.kind == "database.moved"
        assert [row for row in after["events"] if row["seq"] != head.seq] == before["events"]


@ways
def test_a_moved_database_holds_the_same_rows_and_one_event_more(url_of: UrlOf, source: str, target: str) -> None:
    here, there = filled(url_of(source)), url_of(target)
    moved = move(here, there)
    assert_moved(here, there)
    assert moved.rows == sum(map(len, everything(here).values()))


@ways
def test_what_the_database_numbers_goes_on_behind_every_number_ever_given(
    url_of: UrlOf, opened: Opened, source: str, target: str
) -> None:
    here, there = filled(url_of(source)), url_of(target)
    new = "INSERT INTO experiments (name, artifact_location, lifecycle, created_ms, updated_ms) VALUES (:n, '', 'active', 0, 0)"
    with opened(here).transaction() as connection:
        if source == "postgresql":
            connection.execute(text("SELECT setval('experiments_experiment_id_seq', 40)"))
        else:
            connection.execute(text("UPDATE sqlite_sequence SET seq = 40 WHERE name = 'experiments'"))
        connection.execute(text(new), {"n": "forty-one"})
        connection.execute(text("DELETE FROM experiments WHERE name = 'forty-one'"))
    move(here, there)
    with opened(there).transaction() as connection:
        connection.execute(text(new), {"n": "next"})
        connection.execute(
            text(
                "INSERT INTO metric_series (run_id, experiment_id, key, value, is_nan, step, timestamp_ms, point_count) "
                "SELECT run_id, experiment_id, 'new', 0, :no, 0, 0, 0 FROM runs LIMIT 1"
            ),
            {"no": False},
        )
        assert connection.execute(text("SELECT experiment_id FROM experiments WHERE name = 'next'")).scalar() == 42
        assert connection.execute(text("SELECT series_id FROM metric_series WHERE key = 'new'")).scalar() == 10


@pytest.mark.parametrize(("source", "target"), WAYS[:2])
def test_a_killed_move_goes_on_where_it_was_and_ends_equal(
    url_of: UrlOf, monkeypatch: pytest.MonkeyPatch, source: str, target: str
) -> None:
    here, there = filled(url_of(source)), url_of(target)
    monkeypatch.setattr(side, "BLOCK_ROWS", 100)
    copied: list[int] = []
    while (ended := _killed_move(here, there, NOTES)) == -signal.SIGKILL:
        with contextlib.closing(open_database(there)) as database:
            with pytest.raises(Conflict, match="a move into this database was interrupted"):
                migrations.require_newest(database)
            with database.read() as connection:
                copied.append(connection.execute(text("SELECT count(*) FROM metric_points")).scalar_one())
    assert ended == 0
    assert copied == sorted(copied)
    assert any(0 < count < POINTS for count in copied), "no kill fell into the middle of a table"
    assert_moved(here, there)


def _killed_move(source: str, target: str, boundary: int) -> int | None:
    child = multiprocessing.get_context("fork").Process(target=_move_until, args=(source, target, boundary))
    child.start()
    child.join()
    return child.exitcode


def _move_until(source: str, target: str, boundary: int) -> None:
    """Die at the n-th note of the progress, between the rows and the COMMIT."""
    passed = 0
    note = progress.Progress.note

    def counted(self: progress.Progress, *given: object) -> None:
        nonlocal passed
        note(self, *given)  # type: ignore[arg-type]
        passed += 1
        if passed == boundary:
            os.kill(os.getpid(), signal.SIGKILL)

    progress.Progress.note = counted  # type: ignore[method-assign,assignment]
    move(source, target)


def test_a_source_that_was_changed_during_an_interruption_is_noticed(
    url_of: UrlOf, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = filled(url_of("sqlite")), url_of("sqlite-2")
    monkeypatch.setattr(side, "BLOCK_ROWS", 400)
    assert _killed_move(here, there, 55) == -signal.SIGKILL
    with opened(here).transaction() as connection:
        connection.execute(text("UPDATE experiments SET updated_ms = 99"))
    with pytest.raises(Corrupted, match="table 'experiments' differs"):
        move(here, there)
    with pytest.raises(Conflict, match="interrupted"):
        migrations.require_newest(opened(there))


def test_an_unfinished_move_goes_on_from_its_own_source_only(url_of: UrlOf, tmp_path: Path) -> None:
    here, there = filled(url_of("sqlite")), url_of("sqlite-2")
    assert _killed_move(here, there, 3) == -signal.SIGKILL
    other = filled(f"sqlite:///{tmp_path / 'other.db'}")
    with pytest.raises(Conflict, match=r"unfinished move from .*sqlite\.db, not from .*other\.db"):
        move(other, there)


@pytest.mark.parametrize("target", ["sqlite-2", "postgresql"])
def test_a_target_with_rows_is_refused_and_left_alone(url_of: UrlOf, target: str) -> None:
    here, there = filled(url_of("sqlite")), filled(url_of(target))
    before = everything(there)
    with pytest.raises(Conflict, match="holds rows already"):
        move(here, there)
    assert everything(there) == before


@pytest.mark.parametrize("which", ["source", "target"])
def test_a_database_that_a_process_works_on_is_refused_and_the_process_named(url_of: UrlOf, which: str) -> None:
    urls = {"source": filled(url_of("sqlite")), "target": url_of("sqlite-2")}
    with (
        share_database(urls[which], process="flyball server"),
        pytest.raises(Conflict, match=rf"in use by flyball server \(process {os.getpid()}\)"),
    ):
        move(urls["source"], urls["target"])


def test_an_older_source_is_refused(url_of: UrlOf, opened: Opened) -> None:
    migrations.upgrade(opened(url_of("sqlite")), "0002")
    with pytest.raises(Conflict, match="flyball db upgrade"):
        move(url_of("sqlite"), url_of("sqlite-2"))


def test_a_source_that_is_not_there_is_not_made(url_of: UrlOf, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no database"):
        move(url_of("sqlite"), url_of("sqlite-2"))
    assert list(tmp_path.glob("*.db")) == []
    with pytest.raises(InvalidInput, match="the same database"):
        move(url_of("sqlite"), url_of("sqlite"))


def test_text_that_postgresql_cannot_keep_is_named_with_its_table(url_of: UrlOf, opened: Opened) -> None:
    here, there = filled(url_of("sqlite")), url_of("postgresql")
    with opened(here).transaction() as connection:
        connection.execute(text("UPDATE run_tags SET value = 'a' || char(0) || 'b'"))
    with pytest.raises(InvalidInput, match="a row of 'run_tags' cannot be kept in postgresql"):
        move(here, there)


def test_a_broken_chain_keeps_the_target_unfinished(url_of: UrlOf, opened: Opened) -> None:
    here, there = filled(url_of("sqlite")), url_of("sqlite-2")
    with contextlib.closing(sqlite3.connect(here.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE events SET actor = 'user:eve' WHERE seq = 7")
        connection.commit()
    with pytest.raises(Corrupted, match="broken at entry 7"):
        move(here, there)
    with pytest.raises(Conflict, match="interrupted"):
        migrations.require_newest(opened(there))


def test_an_error_never_shows_the_password_of_a_database() -> None:
    assert side.describe_url("postgresql+psycopg://ann:sesame@host/name") == "postgresql+psycopg://ann:***@host/name"
