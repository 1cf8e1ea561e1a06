"""Rules of admission: which names, scopes and lifetimes are accepted, and which credentials still open something."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flyball.governance.entities import Credential, Identity
from flyball.governance.permissions import ROLES, ROLES_OF_SERVICES, Permission, Role, parse_permission, parse_role
from flyball.kernel.errors import InvalidInput, Unauthenticated

DAY_S = 86_400
MAX_EXPIRY_S = 10 * 365 * DAY_S
MAX_LABEL = 200
_NAME = re.compile(r"(user|service):[a-z0-9][a-z0-9._@+-]{0,62}")


def clean_name(name: str) -> str:
    """Accept `user:<name>` and `service:<name>`.

    Raises:
        InvalidInput: anything else.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"'{name[:80]}' is no identity name: expected user:<name> or service:<name> in lower-case letters, digits and ._@+-",
            field="name",
        )
    return name


def clean_role(role: str, *, name: str) -> Role:
    """Accept a role that this identity may have.

    Raises:
        InvalidInput: there is no such role, or it is not for automation.
    """
    wanted = parse_role(role)
    if name.startswith("service:") and wanted not in ROLES_OF_SERVICES:
        raise InvalidInput(f"automation may not be '{role}'; use {', '.join(sorted(ROLES_OF_SERVICES))}", field="role")
    return wanted


def check_token(*, expires_in_s: int, label: str) -> None:
    """Accept a lifetime and a label.

    Raises:
        InvalidInput: the lifetime is out of bounds, or the label is empty or too long.
    """
    if not 1 <= expires_in_s <= MAX_EXPIRY_S:
        raise InvalidInput(f"a token lives 1 to {MAX_EXPIRY_S} seconds, not {expires_in_s}", field="expires_in_s")
    if not label.strip() or len(label) > MAX_LABEL:
        raise InvalidInput(f"a label of 1 to {MAX_LABEL} characters says what the token is for", field="label")


def clean_scope(owner: Identity, permissions: Iterable[str] | None) -> frozenset[Permission] | None:
    """Accept a part of what the owner's role allows; None stays None, and means all of it.

    Raises:
        InvalidInput: a permission that is unknown or beyond the role, or none at all.
    """
    if permissions is None:
        return None
    scope = frozenset(parse_permission(permission) for permission in permissions)
    beyond = sorted(scope - ROLES[owner.role])
    if beyond or not scope:
        what = (
            f"'{beyond[0]}' is beyond the role '{owner.role}'" if beyond else "a token with no permission opens nothing"
        )
        raise InvalidInput(f"{what}; allowed: {', '.join(sorted(ROLES[owner.role]))}", field="permissions")
    return scope


def refuse_ended(found: Credential, now_ms: int) -> None:
    """Stop at a credential that opens nothing any more.

    Raises:
        Unauthenticated: it expired or was revoked, or its identity is disabled.
    """
    if found.identity.disabled_ms is not None:
        raise Unauthenticated(f"the identity '{found.identity.name}' is disabled", field="token")
    if found.token.revoked_ms is not None:
        raise Unauthenticated("this token was revoked; ask an owner for a new one", field="token")
    if found.token.expires_ms <= now_ms:
        raise Unauthenticated("this token has expired; ask an owner for a new one", field="token")
