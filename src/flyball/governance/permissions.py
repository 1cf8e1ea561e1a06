"""Permissions as `<noun>:<verb>`, and the roles that are sets of them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from flyball.kernel.errors import InvalidInput, UnknownKey


class Permission(StrEnum):
    """One thing a caller may be allowed to do. Every route declares exactly one."""

    TRACKING_READ = "tracking:read"
    TRACKING_WRITE = "tracking:write"
    ARTIFACTS_READ = "artifacts:read"
    ARTIFACTS_WRITE = "artifacts:write"
    DATASETS_READ = "datasets:read"
    DATASETS_WRITE = "datasets:write"
    REGISTRY_READ = "registry:read"
    REGISTRY_WRITE = "registry:write"
    WEBHOOKS_MANAGE = "webhooks:manage"
    """To see them as well, because a webhook's address may be a secret."""
    GATES_DECIDE = "gates:decide"
    POLICIES_READ = "policies:read"
    POLICIES_WRITE = "policies:write"
    PIPELINES_READ = "pipelines:read"
    PIPELINES_RUN = "pipelines:run"
    ENDPOINTS_READ = "endpoints:read"
    ENDPOINTS_WRITE = "endpoints:write"
    ENDPOINTS_INFER = "endpoints:infer"
    PREDICTIONS_READ = "predictions:read"
    PREDICTIONS_WRITE = "predictions:write"
    MONITORS_READ = "monitors:read"
    MONITORS_WRITE = "monitors:write"
    ALERTS_READ = "alerts:read"
    ALERTS_WRITE = "alerts:write"
    ALERT_SINKS_MANAGE = "sinks:manage"
    """To see them as well, for the same reason."""
    APPROVALS_READ = "approvals:read"
    APPROVALS_REQUEST = "approvals:request"
    APPROVALS_APPROVE = "approvals:approve"
    LOOPS_READ = "loops:read"
    LOOPS_WRITE = "loops:write"
    LINEAGE_READ = "lineage:read"
    AUDIT_READ = "audit:read"
    ACCESS_READ = "access:read"
    ACCESS_ADMIN = "access:admin"
    UI_OPEN = "ui:open"


class Role(StrEnum):
    """The name of a set of permissions."""

    OWNER = "owner"
    ENGINEER = "engineer"
    APPROVER = "approver"
    VIEWER = "viewer"
    SERVICE = "service"


_LOOK = frozenset(permission for permission in Permission if permission.endswith(":read"))
_BUILD = frozenset(
    {
        Permission.TRACKING_WRITE,
        Permission.ARTIFACTS_WRITE,
        Permission.DATASETS_WRITE,
        Permission.REGISTRY_WRITE,
        Permission.GATES_DECIDE,
        Permission.PIPELINES_RUN,
        Permission.ENDPOINTS_WRITE,
        Permission.ENDPOINTS_INFER,
        Permission.PREDICTIONS_WRITE,
        Permission.MONITORS_WRITE,
        Permission.ALERTS_WRITE,
        Permission.APPROVALS_REQUEST,
        Permission.LOOPS_WRITE,
    }
)

# Who builds does not write the policy that judges the build, and who approves does not build: one person alone cannot
# loosen a rule and pass through it, unless that person is the owner, whose deeds are in the audit like all others.
ROLES: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.OWNER: frozenset(Permission),
        Role.ENGINEER: _LOOK | _BUILD | {Permission.WEBHOOKS_MANAGE, Permission.ALERT_SINKS_MANAGE, Permission.UI_OPEN},
        Role.APPROVER: _LOOK
        | {Permission.APPROVALS_APPROVE, Permission.POLICIES_WRITE, Permission.ALERTS_WRITE, Permission.UI_OPEN},
        Role.VIEWER: _LOOK | {Permission.UI_OPEN},
        Role.SERVICE: (_LOOK - {Permission.AUDIT_READ, Permission.ACCESS_READ}) | _BUILD,
    }
)

# Automation proposes and acts within gates; the say over gates, approvals and access stays with people.
ROLES_OF_SERVICES = frozenset({Role.SERVICE, Role.ENGINEER, Role.VIEWER})


def parse_permission(text: str) -> Permission:
    """Read a permission.

    Raises:
        UnknownKey: nobody declared it; the message has near misses.
    """
    try:
        return Permission(text)
    except ValueError as error:
        raise UnknownKey.among(text, Permission, where="permissions") from error


def parse_role(text: str) -> Role:
    """Read a role.

    Raises:
        InvalidInput: there is no such role; the message lists them.
    """
    try:
        return Role(text)
    except ValueError as error:
        raise InvalidInput(f"'{text}' is no role; known: {', '.join(Role)}", field="role") from error
