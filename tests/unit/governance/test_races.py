"""People who act at the same moment, on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from flyball.governance.access import OWNER, Access
from flyball.governance.approvals import Approvals
from flyball.governance.entities import ApprovalState
from flyball.governance.sql import SqlAccessStore, SqlApprovalStore
from flyball.kernel.canonical import digest_bytes
from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.errors import FlyballError
from flyball.kernel.events import EventLog
from flyball.kernel.events.sql import SqlEventStore

CONTENT = {"model": digest_bytes(b"model")}
ROUNDS = 5


@pytest.fixture
def events(database: Database, clock: ManualClock) -> EventLog:
    return EventLog(SqlEventStore(database), clock)


@pytest.fixture
def access(database: Database, clock: ManualClock, events: EventLog) -> Access:
    return Access(SqlAccessStore(database), events, clock, database)


@pytest.fixture
def approvals(database: Database, clock: ManualClock, events: EventLog, access: Access) -> Approvals:
    for name in ("user:ann", "user:bob"):
        access.create_identity(name, "approver", actor=OWNER)
    return Approvals(SqlApprovalStore(database), events, clock, database, identities=SqlAccessStore(database))


def together(*works: Callable[[], object]) -> list[object]:
    """Do all at once, and return what each returned or raised."""
    outcomes: list[object] = [None] * len(works)
    barrier = threading.Barrier(len(works))

    def run(place: int) -> None:
        barrier.wait()
        try:
            outcomes[place] = works[place]()
        except FlyballError as error:
            outcomes[place] = error.code

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_of_two_owners_who_disable_each_other_one_stays(access: Access) -> None:
    for number in range(ROUNDS):
        one, two = f"user:one{number}", f"user:two{number}"
        for name in (one, two):
            access.create_identity(name, "owner", actor=OWNER)
        for other in (identity.name for identity in access.identities()):
            if other not in {one, two} and access.get_identity(other).disabled_ms is None:
                access.disable_identity(other, actor=OWNER)
        together(
            lambda one=one, two=two: access.disable_identity(two, actor=one),  # type: ignore[misc]
            lambda one=one, two=two: access.disable_identity(one, actor=two),  # type: ignore[misc]
        )
        assert sum(identity.disabled_ms is None for identity in access.identities()) == 1


def test_of_two_answers_at_once_one_counts(approvals: Approvals, events: EventLog) -> None:
    for number in range(ROUNDS):
        asked = approvals.request(f"d{number}", CONTENT, requested_by="service:loop")
        outcomes = together(
            lambda asked=asked: approvals.approve(asked.id, asked.digest, actor="user:ann").state,  # type: ignore[misc]
            lambda asked=asked: approvals.reject(asked.id, actor="user:bob", reason="no").state,  # type: ignore[misc]
        )
        assert sorted(map(str, outcomes)) in (["conflict", "granted"], ["conflict", "rejected"])
        assert str(approvals.get(asked.id).state) in map(str, outcomes)
    answers = [event for event in events.all() if event.kind in {"approval.granted", "approval.rejected"}]
    assert len(answers) == ROUNDS


def test_the_same_question_asked_at_once_is_one_question(approvals: Approvals, events: EventLog) -> None:
    ask = lambda: approvals.request("d1", CONTENT, requested_by="service:loop").id  # noqa: E731
    assert len(set(together(*[ask] * 6))) == 1
    assert [approval.state for approval in approvals.list()] == [ApprovalState.PENDING]
    assert sum(event.kind == "approval.requested" for event in events.all()) == 1


def test_a_name_wanted_by_many_at_once_is_given_once(access: Access, events: EventLog) -> None:
    create = lambda: access.create_identity("user:ada", "viewer", actor=OWNER).name  # noqa: E731
    outcomes = together(*[create] * 6)
    assert sorted(map(str, outcomes)) == ["already_exists"] * 5 + ["user:ada"]
    assert sum(1 for _ in events.all()) == 1
    assert events.verify().intact
