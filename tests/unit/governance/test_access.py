from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from flyball.governance.access import OWNER, USED_RESOLUTION_MS, Access
from flyball.governance.permissions import ROLES, Permission, Role
from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    UnknownKey,
)
from flyball.kernel.events import EventLog, export_events, ref

ADA = "user:ada"


def issue(access: Access, identity: str = ADA, *, permissions: list[str] | None = None) -> str:
    return access.issue(identity, expires_in_s=3_600, label="ci", actor=OWNER, permissions=permissions)[1]


@pytest.fixture
def ada(access: Access) -> str:
    return access.create_identity(ADA, "engineer", actor=OWNER).name


@pytest.mark.parametrize("name", ["ada", "user:", "user:Ada", "robot:ada", "user:a b", "user:" + "a" * 64, "user:a\n"])
def test_a_malformed_name_is_refused(access: Access, name: str) -> None:
    with pytest.raises(InvalidInput, match="is no identity name"):
        access.create_identity(name, "viewer", actor=OWNER)
    assert access.identities() == ()


def test_a_name_is_given_once(access: Access, ada: str, events: EventLog) -> None:
    with pytest.raises(AlreadyExists, match=ADA):
        access.create_identity(ada, "owner", actor=OWNER)
    assert access.get_identity(ada).role is Role.ENGINEER
    assert [event.kind for event in events.history(ref("identity", ada))] == ["identity.created"]


@pytest.mark.parametrize("role", ["owner", "approver"])
def test_automation_is_never_owner_or_approver(access: Access, role: str) -> None:
    with pytest.raises(InvalidInput, match="automation may not be"):
        access.create_identity("service:ci", role, actor=OWNER)


def test_a_secret_opens_what_the_role_allows(access: Access, ada: str) -> None:
    principal = access.authenticate(issue(access))
    assert (principal.identity, principal.permissions) == (ADA, ROLES[Role.ENGINEER])


def test_a_scoped_token_opens_its_scope_only(access: Access, ada: str) -> None:
    principal = access.authenticate(issue(access, permissions=["tracking:read"]))
    principal.require(Permission.TRACKING_READ)
    with pytest.raises(PermissionDenied, match=r"this token's scope lacks 'tracking:write'"):
        principal.require(Permission.TRACKING_WRITE)


def test_a_role_that_is_too_narrow_is_named(access: Access, ada: str) -> None:
    with pytest.raises(PermissionDenied, match=r"the role 'engineer' lacks 'approvals:approve'"):
        access.authenticate(issue(access)).require(Permission.APPROVALS_APPROVE)


def test_a_scope_beyond_the_role_is_refused(access: Access, ada: str) -> None:
    with pytest.raises(InvalidInput, match="'access:admin' is beyond the role 'engineer'"):
        issue(access, permissions=["tracking:read", "access:admin"])
    with pytest.raises(InvalidInput, match="opens nothing"):
        issue(access, permissions=[])
    with pytest.raises(UnknownKey, match="did you mean tracking:read"):
        issue(access, permissions=["tracking:reed"])
    assert access.list() == ()


@pytest.mark.parametrize("expires_in_s", [0, -1, 10**9])
def test_a_token_without_a_sensible_end_is_refused(access: Access, ada: str, expires_in_s: int) -> None:
    with pytest.raises(InvalidInput, match="a token lives") as caught:
        access.issue(ADA, expires_in_s=expires_in_s, label="ci", actor=OWNER)
    assert caught.value.field == "expires_in_s"


def test_a_token_without_a_label_is_refused(access: Access, ada: str) -> None:
    with pytest.raises(InvalidInput, match="a label"):
        access.issue(ADA, expires_in_s=60, label=" ", actor=OWNER)


def test_a_token_for_nobody_is_refused(access: Access) -> None:
    with pytest.raises(NotFound, match="no identity 'user:ada'"):
        issue(access)


def test_an_expired_token_opens_nothing(access: Access, ada: str, clock: ManualClock) -> None:
    secret = issue(access)
    clock.advance(3_600_000 - 1)
    assert access.authenticate(secret).identity == ADA
    clock.advance(1)
    with pytest.raises(Unauthenticated, match="expired"):
        access.authenticate(secret)


def test_a_revoked_token_opens_nothing(access: Access, ada: str) -> None:
    secret = issue(access)
    access.revoke(access.list()[0].id, actor=OWNER)
    with pytest.raises(Unauthenticated, match="revoked"):
        access.authenticate(secret)


def test_revoking_twice_is_one_event(access: Access, ada: str, events: EventLog) -> None:
    issue(access)
    token = access.list(ADA)[0].id
    access.revoke(token, actor=OWNER)
    access.revoke(token, actor=OWNER)
    assert [event.kind for event in events.history(ref("token", token))] == ["token.issued", "token.revoked"]


def test_revoking_an_unknown_token_says_so(access: Access) -> None:
    with pytest.raises(NotFound, match="no token 'x'"):
        access.revoke("x", actor=OWNER)


def test_a_disabled_identity_is_shut_out_at_once(access: Access, ada: str) -> None:
    access.bootstrap_owner()
    secret = issue(access)
    access.disable_identity(ADA, actor=OWNER)
    with pytest.raises(Unauthenticated, match="disabled"):
        access.authenticate(secret)
    with pytest.raises(Conflict, match="disabled"):
        issue(access)


def test_the_last_owner_stays(access: Access) -> None:
    access.bootstrap_owner()
    with pytest.raises(Conflict, match="last owner"):
        access.disable_identity(OWNER, actor=OWNER)
    assert access.get_identity(OWNER).disabled_ms is None
    access.create_identity("user:second", "owner", actor=OWNER)
    assert access.disable_identity(OWNER, actor="user:second").disabled_ms is not None


@pytest.mark.parametrize(
    "wrong",
    ["", "fb", "fb__", "fb_" + "0" * 32, "fb_" + "0" * 32 + "_x", "Bearer x", "x" * 10_000, "fb_\udcff_", "öäü"],
)
def test_what_is_no_secret_of_ours_opens_nothing(access: Access, ada: str, wrong: str) -> None:
    issue(access)
    with pytest.raises(Unauthenticated):
        access.authenticate(wrong)


def test_a_secret_with_one_changed_character_opens_nothing(access: Access, ada: str) -> None:
    secret = issue(access)
    for place in (3, len(secret) // 2, len(secret) - 1):
        changed = secret[:place] + ("A" if secret[place] != "A" else "B") + secret[place + 1 :]
        with pytest.raises(Unauthenticated):
            access.authenticate(changed)


def test_a_secret_has_256_random_bits(access: Access, ada: str) -> None:
    parts = {issue(access).split("_", 2)[2] for _ in range(20)}
    assert len(parts) == 20
    assert all(len(part) == 43 for part in parts)  # 32 bytes in base64 without padding


def test_no_secret_and_no_digest_of_one_is_in_the_audit_or_in_clear_in_the_database(
    access: Access, ada: str, events: EventLog, sqlite: Database
) -> None:
    secret = issue(access)
    code = access.issue_link(access.authenticate(secret))
    session = access.redeem(code)
    exported = b"".join(export_events(events.all()))
    stored = b"".join(path.read_bytes() for path in _files(sqlite))
    for hidden in (secret, code, session):
        digest = hashlib.sha256(hidden.encode()).hexdigest()
        assert hidden.encode() not in exported + stored
        assert hidden[-32:].encode() not in exported + stored
        assert digest.encode() not in exported


def _files(database: Database) -> list[Path]:
    name = database.engine.url.database
    assert name
    return list(Path(name).parent.glob(Path(name).name + "*"))


def test_the_last_use_is_not_written_for_each_request(access: Access, ada: str, clock: ManualClock) -> None:
    secret = issue(access)
    first = clock.now_ms()
    access.authenticate(secret)
    clock.advance(USED_RESOLUTION_MS - 1)
    access.authenticate(secret)
    assert access.list()[0].used_ms == first
    clock.advance(1)
    access.authenticate(secret)
    assert access.list()[0].used_ms == clock.now_ms()


def test_the_owner_is_made_once_and_a_lost_owner_token_opens_nothing(access: Access, clock: ManualClock) -> None:
    lost = access.bootstrap_owner()
    kept = access.issue(OWNER, expires_in_s=60, label="ci", actor=OWNER)[1]
    assert access.authenticate(lost).permissions == set(Permission)
    found = access.bootstrap_owner()
    with pytest.raises(Unauthenticated, match="revoked"):
        access.authenticate(lost)
    assert access.authenticate(found).identity == access.authenticate(kept).identity == OWNER
    assert [identity.name for identity in access.identities()] == [OWNER]


def test_nothing_is_kept_of_a_change_whose_event_cannot_be_recorded(access: Access, events: EventLog) -> None:
    with pytest.raises(InvalidInput, match="NUL"):
        access.create_identity(ADA, "viewer", actor="user:\0")
    assert access.identities() == ()
    assert list(events.all()) == []
