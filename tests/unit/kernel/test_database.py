"""The database layer: one re-entrant transaction, on SQLite and PostgreSQL."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg.errors
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from flyball.kernel.db import Database, open_database
from flyball.kernel.errors import (
    Corrupted,
    FlyballError,
    InvalidInput,
    StoreFull,
    Unavailable,
    Unsupported,
)
from flyball.kernel.faults import fault_of


@pytest.fixture
def table(database_url: str) -> Iterator[Database]:
    opened = open_database(database_url)
    with opened.transaction() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER PRIMARY KEY)"))
    yield opened
    opened.close()


def add(database: Database, number: int) -> None:
    with database.transaction() as connection:
        connection.execute(text("INSERT INTO t VALUES (:x)"), {"x": number})


def add_and_raise(database: Database, number: int, error: BaseException) -> None:
    with database.transaction():
        add(database, number)
        raise error


def kept(database: Database) -> list[int]:
    with database.read() as connection:
        return [int(number) for number in connection.execute(text("SELECT x FROM t ORDER BY x")).scalars()]


def test_a_transaction_is_kept_when_its_block_ends(table: Database) -> None:
    add(table, 1)
    assert kept(table) == [1]


def test_a_transaction_that_raises_keeps_nothing_and_passes_the_error_on(table: Database) -> None:
    with pytest.raises(ValueError, match="mine"):
        add_and_raise(table, 1, ValueError("mine"))
    assert kept(table) == []
    add(table, 2)
    assert kept(table) == [2]


def test_an_inner_transaction_joins_the_outer_one(table: Database) -> None:
    with table.transaction() as outer:
        with table.transaction() as inner:
            assert inner is outer
            add(table, 1)
        add(table, 2)
    assert kept(table) == [1, 2]


def test_what_an_inner_transaction_wrote_goes_with_the_outer_one(table: Database) -> None:
    def change() -> None:
        with table.transaction():
            with table.transaction():
                add(table, 1)
            add_and_raise(table, 2, ValueError("later"))

    with pytest.raises(ValueError, match="later"):
        change()
    assert kept(table) == []


def test_an_inner_failure_that_was_swallowed_keeps_no_half(table: Database) -> None:
    def change() -> None:
        with table.transaction():
            add(table, 1)
            with contextlib.suppress(ValueError):
                add_and_raise(table, 2, ValueError("mine"))

    with pytest.raises(FlyballError, match=r"a part of this change failed.*mine") as caught:
        change()
    assert isinstance(caught.value.__cause__, ValueError)
    assert kept(table) == []
    add(table, 3)
    assert kept(table) == [3]


def test_reading_inside_a_transaction_sees_what_it_wrote_and_others_do_not(table: Database) -> None:
    seen: list[list[int]] = []
    with table.transaction():
        add(table, 1)
        thread = threading.Thread(target=lambda: seen.append(kept(table)))
        thread.start()
        thread.join()
        seen.append(kept(table))
    assert seen == [[], [1]]


def test_a_broken_constraint_is_the_callers_to_translate(table: Database) -> None:
    add(table, 1)
    with pytest.raises(IntegrityError):
        add(table, 1)
    add(table, 2)
    assert kept(table) == [1, 2]


def test_many_threads_write_and_each_sees_its_own_write(table: Database) -> None:
    missing: list[int] = []

    def write(start: int) -> None:
        for number in range(start, start + 20):
            add(table, number)
            if number not in kept(table):
                missing.append(number)

    threads = [threading.Thread(target=write, args=(start,)) for start in range(0, 320, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missing == []
    assert kept(table) == list(range(320))


def test_an_interrupt_inside_a_transaction_leaves_the_database_usable(table: Database) -> None:
    with pytest.raises(KeyboardInterrupt):
        add_and_raise(table, 1, KeyboardInterrupt())
    add(table, 2)
    assert kept(table) == [2]


def test_a_connection_that_breaks_is_an_error_once_and_is_made_again(table: Database) -> None:
    add(table, 1)
    if table.dialect == "sqlite":
        table._writer._driver.close()  # type: ignore[attr-defined]
    else:
        with table.engine.connect() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
            )
    for _ in range(3):
        try:
            add(table, 2)
            break
        except (Unavailable, sqlite3.ProgrammingError):
            continue
    assert kept(table) == [1, 2]


def test_writing_on_after_closing_opens_again(table: Database) -> None:
    table.close()
    add(table, 1)
    assert kept(table) == [1]


def test_a_postgres_that_is_not_there_is_out_of_reach() -> None:
    database = open_database("postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=2")
    with pytest.raises(Unavailable, match="out of reach"), database.read():
        pass
    with pytest.raises(Unavailable, match="out of reach"), database.transaction():
        pass


def test_a_deadlock_between_two_transactions_is_worth_a_retry(postgres_url: str) -> None:
    database = open_database(postgres_url)
    with database.transaction() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER PRIMARY KEY, n INTEGER)"))
        connection.execute(text("INSERT INTO t VALUES (1, 0), (2, 0)"))
    barrier = threading.Barrier(2)
    outcomes: list[FlyballError | None] = []

    def work(first: int, second: int) -> None:
        try:
            with database.transaction() as connection:
                connection.execute(text("UPDATE t SET n = n + 1 WHERE x = :x"), {"x": first})
                barrier.wait()
                connection.execute(text("UPDATE t SET n = n + 1 WHERE x = :x"), {"x": second})
            outcomes.append(None)
        except FlyballError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "Unavailable"]


def test_a_database_file_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "flyball.db"
    path.write_bytes(b"this is no database" * 100)
    database = open_database(f"sqlite:///{path}")
    with pytest.raises(Corrupted, match="damaged"), database.read():
        pass
    with pytest.raises(Corrupted, match="damaged"), database.transaction():
        pass


def test_a_folder_in_the_place_of_the_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "flyball.db").mkdir()
    database = open_database(f"sqlite:///{tmp_path / 'flyball.db'}")
    with pytest.raises(Unavailable, match="out of reach"), database.transaction():
        pass


@pytest.mark.parametrize("url", ["", "flyball.db", "://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="is no database URL"):
        open_database(url)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://h/d", "oracle://h/d"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(Unsupported):
        open_database(url)


def test_sqlite_acknowledges_only_what_is_on_disk(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'flyball.db'}")
    with database.transaction() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    database.close()


class Sqlite(sqlite3.OperationalError):
    """An error of SQLite with the name that the driver gives it."""

    def __init__(self, name: str) -> None:
        super().__init__("told to")
        self.sqlite_errorname = name


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (Sqlite("SQLITE_FULL"), StoreFull),
        (Sqlite("SQLITE_IOERR_WRITE"), StoreFull),
        (Sqlite("SQLITE_BUSY_SNAPSHOT"), Unavailable),
        (Sqlite("SQLITE_LOCKED"), Unavailable),
        (Sqlite("SQLITE_CORRUPT"), Corrupted),
        (Sqlite("SQLITE_IOERR_READ"), Unavailable),
        (Sqlite("SQLITE_READONLY"), Unavailable),
        (psycopg.errors.DiskFull("told to"), StoreFull),
        (psycopg.errors.SerializationFailure("told to"), Unavailable),
        (psycopg.errors.AdminShutdown("told to"), Unavailable),
        (psycopg.errors.DataCorrupted("told to"), Corrupted),
        (psycopg.OperationalError("connection refused"), Unavailable),
    ],
)
def test_a_fault_of_the_driver_is_said_in_our_words(error: Exception, ours: type[FlyballError]) -> None:
    found = fault_of(error)
    assert type(found) is ours
    assert fault_of(error) is not found


@pytest.mark.parametrize(
    "error",
    [sqlite3.IntegrityError("told to"), Sqlite("SQLITE_CONSTRAINT"), psycopg.errors.UniqueViolation(), ValueError()],
)
def test_what_is_no_fault_of_the_store_is_left_alone(error: Exception) -> None:
    assert fault_of(error) is None
