"""Group commit on a bare SQLite file, with a connection that fails on request."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flyball.kernel import group_commit
from flyball.kernel.errors import FlyballError, Unavailable
from flyball.kernel.group_commit import GROUP_MEMBERS, GroupCommit

MEMBERS = 16


class Failing(sqlite3.Connection):
    """Counts control statements, and raises what it was told to before or after one of them."""

    said: list[str]
    before: dict[str, BaseException]
    after: dict[str, BaseException]

    def execute(self, statement: str, *parameters: object) -> sqlite3.Cursor:
        self.said.append(statement)
        if statement in self.before:
            raise self.before.pop(statement)
        cursor = super().execute(statement, *parameters)  # type: ignore[arg-type]
        if statement in self.after:
            raise self.after.pop(statement)
        return cursor


class Bench:
    """A table, its writer, and a look from outside at what is durable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self.before: dict[str, BaseException] = {}
        self.after: dict[str, BaseException] = {}
        self.connection: Failing | None = None
        self.commit = GroupCommit(self.connect, self.discard, turn_s=1, busy_s=0.2)
        with self.commit.member():
            self.connect().execute("CREATE TABLE t (x INTEGER CHECK (x >= 0))")

    def connect(self) -> Failing:
        if self.connection is None:
            self.connection = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, factory=Failing, timeout=0
            )
            self.connection.said, self.connection.before, self.connection.after = self.said, self.before, self.after
            self.connection.execute("PRAGMA journal_mode=WAL")
        return self.connection

    def discard(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def add(self, number: int) -> None:
        with self.commit.member():
            self.connect().execute("INSERT INTO t VALUES (?)", (number,))

    def durable(self) -> list[int]:
        other = sqlite3.connect(self.path)
        try:
            return [number for (number,) in other.execute("SELECT x FROM t ORDER BY x")]
        finally:
            other.close()

    def together(self, *works: Callable[[], object]) -> list[BaseException | None]:
        """Run works as members of one group: all wait for the turn while the first member is inside."""
        outcomes: list[BaseException | None] = [None] * len(works)

        def run(place: int) -> None:
            try:
                works[place]()
            except BaseException as error:  # noqa: BLE001 -- interrupts are among what is tested
                outcomes[place] = error

        threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
        with self.commit._turn:
            for thread in threads:
                thread.start()
            while self.commit._waiting < len(works):
                pass
        for thread in threads:
            thread.join()
        return outcomes


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(group_commit, "GROUP_SECONDS", 60.0)  # how long a group lasts must not depend on the machine
    made = Bench(tmp_path / "t.db")
    yield made
    made.commit.close()


def adder(bench: Bench, number: int) -> Callable[[], None]:
    return lambda: bench.add(number)


def test_what_is_acknowledged_is_durable(bench: Bench) -> None:
    bench.add(1)
    assert bench.durable() == [1]


def test_under_many_threads_what_is_acknowledged_is_durable(bench: Bench) -> None:
    missing: list[int] = []

    def work(number: int) -> None:
        bench.add(number)
        if number not in bench.durable():
            missing.append(number)

    outcomes = bench.together(*[lambda number=number: work(number) for number in range(MEMBERS)])
    assert outcomes == [None] * MEMBERS
    assert missing == []
    assert bench.durable() == list(range(MEMBERS))


def test_members_share_one_commit(bench: Bench) -> None:
    bench.said.clear()
    bench.together(*[adder(bench, number) for number in range(MEMBERS)])
    assert (bench.said.count("BEGIN IMMEDIATE"), bench.said.count("COMMIT")) == (1, 1)
    assert bench.durable() == list(range(MEMBERS))


def test_a_group_is_closed_when_it_is_full(bench: Bench) -> None:
    bench.said.clear()
    bench.together(*[adder(bench, number) for number in range(GROUP_MEMBERS + 1)])
    assert bench.said.count("COMMIT") == 2
    assert bench.durable() == list(range(GROUP_MEMBERS + 1))


def test_the_error_of_one_member_does_not_hurt_the_others(bench: Bench) -> None:
    def fail() -> None:
        with bench.commit.member():
            bench.connect().execute("INSERT INTO t VALUES (?)", (100,))
            raise ValueError("mine")

    works = [adder(bench, -1), fail, *[adder(bench, number) for number in range(MEMBERS)], fail]
    outcomes = bench.together(*works)
    assert [type(outcome).__name__ for outcome in outcomes] == [
        "IntegrityError",
        "ValueError",
        *["NoneType"] * MEMBERS,
        "ValueError",
    ]
    assert bench.durable() == list(range(MEMBERS))


def test_an_interrupted_member_does_not_hurt_the_others(bench: Bench) -> None:
    def interrupt() -> None:
        with bench.commit.member():
            bench.connect().execute("INSERT INTO t VALUES (?)", (100,))
            raise KeyboardInterrupt

    outcomes = bench.together(adder(bench, 1), interrupt, adder(bench, 2))
    assert [type(outcome).__name__ for outcome in outcomes] == ["NoneType", "KeyboardInterrupt", "NoneType"]
    assert bench.durable() == [1, 2]


def test_a_failed_commit_is_told_to_every_member_by_an_error_of_its_own(bench: Bench) -> None:
    bench.before["COMMIT"] = sqlite3.OperationalError("told to")
    outcomes = bench.together(*[adder(bench, number) for number in range(MEMBERS)])
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    assert len({id(outcome) for outcome in outcomes}) == MEMBERS
    assert bench.durable() == []
    bench.add(7)
    assert bench.durable() == [7]


def test_an_interrupt_before_the_commit_keeps_nothing_and_reaches_one_thread_only(bench: Bench) -> None:
    bench.before["COMMIT"] = KeyboardInterrupt()
    outcomes = bench.together(adder(bench, 1), adder(bench, 2), adder(bench, 3))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["KeyboardInterrupt", "Unavailable", "Unavailable"]
    assert bench.durable() == []
    bench.add(7)
    assert bench.durable() == [7]


def test_an_interrupt_after_the_commit_does_not_deny_what_is_durable(bench: Bench) -> None:
    bench.after["COMMIT"] = KeyboardInterrupt()
    outcomes = bench.together(adder(bench, 1), adder(bench, 2), adder(bench, 3))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["KeyboardInterrupt", "NoneType", "NoneType"]
    assert bench.durable() == [1, 2, 3]


@pytest.mark.parametrize("statement", ["SAVEPOINT member", "RELEASE member", "ROLLBACK TO member"])
@pytest.mark.parametrize("error", [sqlite3.OperationalError("told to"), KeyboardInterrupt()])
def test_work_in_doubt_is_never_committed(bench: Bench, statement: str, error: BaseException) -> None:
    def fail() -> None:
        with bench.commit.member():
            bench.connect().execute("INSERT INTO t VALUES (100)")
            raise ValueError("mine")

    bench.before[statement] = error
    outcomes = bench.together(fail, adder(bench, 1), fail, adder(bench, 2))
    acknowledged = [number for number, outcome in zip([0, 1, 0, 2], outcomes, strict=True) if outcome is None]
    assert bench.durable() == acknowledged
    assert not bench.before
    bench.add(7)
    assert 7 in bench.durable()


def test_a_transaction_that_sqlite_rolled_back_is_told_to_every_member(bench: Bench) -> None:
    def roll_back() -> None:
        with bench.commit.member():
            bench.connect().execute("ROLLBACK")  # as SQLite does by itself when the disk is full
            raise sqlite3.OperationalError("rolled back")

    outcomes = bench.together(adder(bench, 1), roll_back, adder(bench, 2))
    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert kinds[1] == "OperationalError"
    assert bench.durable() == [number for number, kind in ((1, kinds[0]), (2, kinds[2])) if kind == "NoneType"]
    assert {kinds[0], kinds[2]} <= {"NoneType", "Unavailable"}


def test_a_begin_that_was_left_behind_by_an_interrupt_is_healed(bench: Bench) -> None:
    bench.after["BEGIN IMMEDIATE"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bench.add(1)
    bench.add(2)
    assert bench.durable() == [2]


def test_a_closed_connection_is_opened_again(bench: Bench) -> None:
    bench.connect().close()
    with pytest.raises(sqlite3.ProgrammingError):
        bench.add(1)
    bench.add(2)
    assert bench.durable() == [2]


def test_a_commit_that_was_left_to_nobody_is_done_by_who_waits(bench: Bench) -> None:
    bench.commit._count(1)  # somebody who queued up and died before the turn came
    bench.add(1)
    assert bench.durable() == [1]


def test_a_lock_of_another_process_is_an_error_after_the_timeout(bench: Bench) -> None:
    other = sqlite3.connect(bench.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        bench.add(1)
    other.execute("ROLLBACK")
    other.close()
    bench.add(2)
    assert bench.durable() == [2]


def test_a_lock_that_another_process_gives_back_in_time_is_waited_for(bench: Bench) -> None:
    other = sqlite3.connect(bench.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.05, lambda: other.execute("ROLLBACK"))
    timer.start()
    bench.add(1)
    timer.join()
    other.close()
    assert bench.said.count("BEGIN IMMEDIATE") > 2
    assert bench.durable() == [1]


def test_who_waits_for_a_thread_that_waits_for_him_gets_an_error_rather_than_silence(bench: Bench) -> None:
    inner: list[BaseException] = []

    def work() -> None:
        try:
            bench.add(2)
        except FlyballError as error:
            inner.append(error)

    with bench.commit.member():
        bench.connect().execute("INSERT INTO t VALUES (1)")
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert [type(error) for error in inner] == [Unavailable]
    assert bench.durable() == [1]


def test_closing_commits_what_waits_for_its_commit(bench: Bench) -> None:
    bench.commit._count(1)
    thread = threading.Thread(target=adder(bench, 1))
    thread.start()
    while not bench.said or bench.said[-1] != "RELEASE member":
        pass
    bench.commit.close()
    thread.join()
    bench.commit._count(-1)
    assert bench.durable() == [1]
