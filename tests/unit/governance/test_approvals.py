from __future__ import annotations

import pytest
from sqlalchemy import text

from flyball.governance.access import OWNER, Access
from flyball.governance.approvals import Approvals, content_digest
from flyball.governance.entities import ApprovalState
from flyball.kernel.canonical import digest_bytes, digest_json
from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict, Corrupted, InvalidInput, NotFound, PermissionDenied
from flyball.kernel.events import Edge, EventLog, ref

CONTENT = {
    "model": digest_bytes(b"model"),
    "data": digest_bytes(b"data"),
    "evaluation": digest_bytes(b"evaluation"),
    "policy": digest_bytes(b"policy"),
    "environment": digest_bytes(b"environment"),
}
LOOP = "service:loop"
APPROVER = "user:approver"


@pytest.fixture
def pending(approvals: Approvals) -> str:
    return approvals.request("d1", CONTENT, requested_by=LOOP).id


@pytest.fixture
def granted(approvals: Approvals, pending: str) -> str:
    return approvals.approve(pending, digest_json(CONTENT), actor=APPROVER).id


def test_an_approval_is_bound_to_the_digest_of_its_content(approvals: Approvals, granted: str) -> None:
    found = approvals.get(granted)
    assert (found.state, found.decided_by, found.digest) == (ApprovalState.GRANTED, APPROVER, digest_json(CONTENT))
    assert approvals.verify(granted, CONTENT) == found


@pytest.mark.parametrize("name", sorted(CONTENT))
def test_any_changed_input_fails_and_is_named(approvals: Approvals, granted: str, name: str) -> None:
    with pytest.raises(Conflict, match=f"does not cover '{name}'") as caught:
        approvals.verify(granted, CONTENT | {name: digest_bytes(b"edited")})
    assert caught.value.field == f"content.{name}"


def test_an_input_more_or_less_fails_and_is_named(approvals: Approvals, granted: str) -> None:
    with pytest.raises(Conflict, match="does not cover 'extra': approved nothing"):
        approvals.verify(granted, CONTENT | {"extra": digest_bytes(b"")})
    with pytest.raises(Conflict, match=r"does not cover 'policy': .* given nothing"):
        approvals.verify(granted, {name: digest for name, digest in CONTENT.items() if name != "policy"})


def test_another_digest_than_the_one_shown_is_not_approved(approvals: Approvals, pending: str) -> None:
    with pytest.raises(Conflict, match="look at it again"):
        approvals.approve(pending, digest_bytes(b"other"), actor=APPROVER)
    assert approvals.get(pending).state is ApprovalState.PENDING


def test_who_asked_may_not_answer(approvals: Approvals) -> None:
    asked = approvals.request("d1", CONTENT, requested_by=APPROVER)
    with pytest.raises(PermissionDenied, match="asked for this approval"):
        approvals.approve(asked.id, asked.digest, actor=APPROVER)
    with pytest.raises(PermissionDenied, match="asked for this approval"):
        approvals.reject(asked.id, actor=APPROVER, reason="on second thoughts")


@pytest.mark.parametrize("actor", ["user:engineer", "user:nobody", ""])
def test_who_has_no_right_to_approve_may_not(approvals: Approvals, pending: str, actor: str) -> None:
    with pytest.raises(PermissionDenied):
        approvals.approve(pending, digest_json(CONTENT), actor=actor)
    assert approvals.get(pending).state is ApprovalState.PENDING


def test_a_disabled_approver_may_not(approvals: Approvals, pending: str, access: Access) -> None:
    access.bootstrap_owner()
    access.disable_identity(APPROVER, actor=OWNER)
    with pytest.raises(PermissionDenied, match="unknown or disabled"):
        approvals.approve(pending, digest_json(CONTENT), actor=APPROVER)


def test_an_answer_is_final(approvals: Approvals, granted: str, events: EventLog) -> None:
    with pytest.raises(Conflict, match="was granted by user:approver already"):
        approvals.reject(granted, actor=APPROVER, reason="too late")
    with pytest.raises(Conflict, match="was granted by user:approver already"):
        approvals.approve(granted, digest_json(CONTENT), actor=APPROVER)
    kinds = [event.kind for event in events.history(ref("approval", granted))]
    assert kinds == ["approval.requested", "approval.granted"]


def test_a_rejection_needs_a_reason_and_covers_nothing(approvals: Approvals, pending: str) -> None:
    with pytest.raises(InvalidInput, match="needs a reason"):
        approvals.reject(pending, actor=APPROVER, reason=" ")
    assert approvals.reject(pending, actor=APPROVER, reason="too little data").reason == "too little data"
    with pytest.raises(Conflict, match="is rejected, not granted"):
        approvals.verify(pending, CONTENT)


def test_a_pending_approval_covers_nothing(approvals: Approvals, pending: str) -> None:
    with pytest.raises(Conflict, match="is pending, not granted"):
        approvals.verify(pending, CONTENT)


def test_asking_again_returns_the_answer_that_is_there(approvals: Approvals, granted: str, events: EventLog) -> None:
    again = approvals.request("d1", dict(reversed(CONTENT.items())), requested_by=LOOP)
    assert (again.id, again.state) == (granted, ApprovalState.GRANTED)
    assert len(events.history(ref("approval", granted))) == 2


def test_the_grant_is_in_the_lineage_of_the_decision(approvals: Approvals, granted: str, events: EventLog) -> None:
    assert events.store.edges_to(ref("decision", "d1")) == [
        Edge(subject=ref("approval", granted), relation="approves", object=ref("decision", "d1"))
    ]


@pytest.mark.parametrize(
    ("decision", "content", "field"),
    [
        ("", CONTENT, "decision"),
        ("d1", {}, "content"),
        ("d1", {"model": "latest"}, "content.model"),
        ("d1", {"model": "A" * 64}, "content.model"),
    ],
)
def test_a_malformed_request_is_refused(
    approvals: Approvals, decision: str, content: dict[str, str], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        approvals.request(decision, content, requested_by=LOOP)
    assert caught.value.field == field
    assert approvals.list() == ()


def test_an_unknown_approval_says_so(approvals: Approvals) -> None:
    with pytest.raises(NotFound, match="no approval 'x'"):
        approvals.get("x")


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE approvals SET state = 'granted', decided_by = 'user:approver', decided_ms = 1",
        "UPDATE approvals SET state = 'granted', decided_by = requested_by, decided_ms = 1",
    ],
)
def test_a_grant_written_into_the_database_approves_nothing(
    approvals: Approvals, pending: str, sqlite: Database, edit: str
) -> None:
    with sqlite.transaction() as connection:
        connection.execute(text(edit))
    with pytest.raises(Corrupted, match="does not prove"):
        approvals.verify(pending, CONTENT)


def test_content_edited_in_the_database_approves_nothing(approvals: Approvals, granted: str, sqlite: Database) -> None:
    other = {"model": digest_bytes(b"smuggled")}
    with sqlite.transaction() as connection:
        connection.execute(
            text("UPDATE approvals SET content = :content, digest = :digest"),
            {"content": f'{{"model":"{other["model"]}"}}', "digest": content_digest(other)},
        )
    with pytest.raises(Corrupted, match="does not prove"):
        approvals.verify(granted, other)


@pytest.mark.parametrize("actor", [LOOP, OWNER])
def test_who_asked_or_an_owner_takes_an_approval_back(
    approvals: Approvals, pending: str, access: Access, events: EventLog, actor: str
) -> None:
    access.bootstrap_owner()
    found = approvals.withdraw(pending, actor=actor, reason="the feed is being rebuilt")
    assert (found.state, found.decided_by, found.reason) == (
        ApprovalState.WITHDRAWN,
        actor,
        "the feed is being rebuilt",
    )
    last = events.history(ref("approval", pending))[-1]
    assert (last.kind, last.actor, last.payload["reason"]) == ("approval.withdrawn", actor, "the feed is being rebuilt")
    assert [edge.relation for edge in events.store.edges_to(ref("decision", "d1"))] == ["withdraws"]
    with pytest.raises(Conflict, match="was withdrawn by"):
        approvals.approve(pending, digest_json(CONTENT), actor=APPROVER)
    with pytest.raises(Conflict, match="is withdrawn, not granted"):
        approvals.verify(pending, CONTENT)


@pytest.mark.parametrize("actor", [APPROVER, "user:engineer", "user:nobody", ""])
def test_nobody_else_takes_an_approval_back(approvals: Approvals, pending: str, actor: str) -> None:
    with pytest.raises(PermissionDenied):
        approvals.withdraw(pending, actor=actor, reason="no")
    assert approvals.get(pending).state is ApprovalState.PENDING


def test_a_withdrawal_needs_a_reason_and_an_open_question(approvals: Approvals, pending: str, granted: str) -> None:
    with pytest.raises(InvalidInput, match="needs a reason"):
        approvals.withdraw(pending, actor=LOOP, reason=" ")
    with pytest.raises(Conflict, match="was granted by user:approver already"):
        approvals.withdraw(granted, actor=LOOP, reason="too late")


def test_an_approval_that_waited_too_long_expires(approvals: Approvals, pending: str, clock: ManualClock) -> None:
    assert not approvals.is_overdue(approvals.get(pending), 1_000)
    clock.advance(1_000)
    assert approvals.is_overdue(approvals.get(pending), 1_000)
    expired = approvals.expire(pending, actor=LOOP, reason="nobody answered")
    assert expired.state is ApprovalState.EXPIRED
    assert not approvals.is_overdue(expired, 1_000)
    with pytest.raises(Conflict, match="was expired by"):
        approvals.approve(pending, digest_json(CONTENT), actor=APPROVER)
    with pytest.raises(Conflict, match="was expired by"):
        approvals.expire(pending, actor=LOOP, reason="again")
