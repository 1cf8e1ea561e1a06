from __future__ import annotations

import re

import pytest

from flyball.governance.permissions import ROLES, ROLES_OF_SERVICES, Permission, Role, parse_permission, parse_role
from flyball.kernel.errors import InvalidInput, UnknownKey


def test_a_permission_is_a_noun_and_a_verb() -> None:
    assert all(re.fullmatch(r"[a-z]+:[a-z]+", permission) for permission in Permission)


def test_every_role_has_its_permissions() -> None:
    assert set(ROLES) == set(Role)


def test_the_owner_may_do_everything() -> None:
    assert ROLES[Role.OWNER] == set(Permission)


def test_a_viewer_changes_nothing() -> None:
    assert {permission.split(":")[1] for permission in ROLES[Role.VIEWER]} == {"read", "open"}


@pytest.mark.parametrize("role", sorted(ROLES_OF_SERVICES))
def test_no_role_of_automation_may_approve_change_policies_or_give_access(role: Role) -> None:
    kept = {Permission.APPROVALS_APPROVE, Permission.POLICIES_WRITE, Permission.ACCESS_ADMIN}
    assert not ROLES[role] & kept


def test_who_approves_does_not_build() -> None:
    built = {Permission.REGISTRY_WRITE, Permission.GATES_DECIDE, Permission.ENDPOINTS_WRITE, Permission.PIPELINES_RUN}
    assert not ROLES[Role.APPROVER] & built


def test_an_unknown_permission_is_an_error_with_near_misses() -> None:
    with pytest.raises(UnknownKey, match="did you mean registry:write"):
        parse_permission("registry:writ")


def test_an_unknown_role_is_an_error_that_lists_the_roles() -> None:
    with pytest.raises(InvalidInput, match="'admin' is no role; known: owner, engineer, approver, viewer, service"):
        parse_role("admin")
