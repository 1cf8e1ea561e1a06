from __future__ import annotations

import pytest

from flyball.governance.access import LINK_MS, OWNER, SESSION_MS, Access
from flyball.governance.entities import Principal
from flyball.governance.permissions import ROLES, Role
from flyball.kernel.clock import ManualClock
from flyball.kernel.errors import Conflict, PermissionDenied, Unauthenticated
from flyball.kernel.events import EventLog

HOUR_S = 3_600


def principal(access: Access, *, permissions: list[str] | None = None, expires_in_s: int = 24 * HOUR_S) -> Principal:
    if not access.identities():
        access.create_identity("user:ada", "engineer", actor=OWNER)
    _, secret = access.issue(
        "user:ada", expires_in_s=expires_in_s, label="laptop", actor=OWNER, permissions=permissions
    )
    return access.authenticate(secret)


def test_a_link_opens_a_session_of_the_same_identity(access: Access, events: EventLog) -> None:
    session = access.authenticate(access.redeem(access.issue_link(principal(access))))
    assert (session.identity, session.permissions) == ("user:ada", ROLES[Role.ENGINEER])
    assert [event.kind for event in events.all()][-2:] == ["login-link.issued", "session.opened"]


def test_a_link_works_once(access: Access) -> None:
    code = access.issue_link(principal(access))
    access.redeem(code)
    with pytest.raises(Unauthenticated, match="used, over or unknown"):
        access.redeem(code)


def test_a_link_works_for_a_minute(access: Access, clock: ManualClock) -> None:
    code = access.issue_link(principal(access))
    clock.advance(LINK_MS)
    with pytest.raises(Unauthenticated, match="used, over or unknown"):
        access.redeem(code)


@pytest.mark.parametrize("code", ["", "x", "\udcff", "x" * 100_000])
def test_an_unknown_code_opens_nothing(access: Access, code: str) -> None:
    with pytest.raises(Unauthenticated, match="used, over or unknown"):
        access.redeem(code)


def test_a_session_is_no_wider_than_its_token(access: Access) -> None:
    narrow = principal(access, permissions=["ui:open", "tracking:read"])
    session = access.authenticate(access.redeem(access.issue_link(narrow)))
    assert session.permissions == narrow.permissions


def test_a_token_without_the_permission_makes_no_link(access: Access) -> None:
    with pytest.raises(PermissionDenied, match="ui:open"):
        access.issue_link(principal(access, permissions=["tracking:read"]))


def test_a_session_does_not_prolong_itself(access: Access) -> None:
    session = access.authenticate(access.redeem(access.issue_link(principal(access))))
    with pytest.raises(Conflict, match="session cannot open another"):
        access.issue_link(session)


def test_a_session_ends_after_a_day_of_work(access: Access, clock: ManualClock) -> None:
    session = access.redeem(access.issue_link(principal(access)))
    clock.advance(SESSION_MS)
    with pytest.raises(Unauthenticated, match="expired"):
        access.authenticate(session)


def test_a_session_does_not_outlive_its_token(access: Access, clock: ManualClock) -> None:
    session = access.redeem(access.issue_link(principal(access, expires_in_s=HOUR_S)))
    clock.advance(HOUR_S * 1_000)
    with pytest.raises(Unauthenticated, match="expired"):
        access.authenticate(session)


def test_a_revoked_token_takes_its_sessions_and_links_along(access: Access) -> None:
    caller = principal(access)
    session, unused = access.redeem(access.issue_link(caller)), access.issue_link(caller)
    access.revoke(caller.token.id, actor=OWNER)
    with pytest.raises(Unauthenticated, match="revoked"):
        access.authenticate(session)
    with pytest.raises(Unauthenticated, match="revoked"):
        access.redeem(unused)
    assert [token.kind for token in access.list() if token.revoked_ms is None] == []
