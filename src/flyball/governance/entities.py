"""Identities, tokens, approvals, and the events about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from flyball.governance.permissions import ROLES, Permission, Role
from flyball.kernel.canonical import Digest
from flyball.kernel.errors import PermissionDenied
from flyball.kernel.events import EventKind

TokenId = NewType("TokenId", str)
ApprovalId = NewType("ApprovalId", str)


class GovernanceEvent(EventKind):
    """What happens in this room. No payload ever holds a secret, nor the digest of one."""

    IDENTITY_CREATED = "identity.created"
    IDENTITY_DISABLED = "identity.disabled"
    TOKEN_ISSUED = "token.issued"  # noqa: S105 -- the name of an event
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 -- the name of an event
    LINK_ISSUED = "login-link.issued"
    SESSION_OPENED = "session.opened"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_GRANTED = "approval.granted"
    APPROVAL_REJECTED = "approval.rejected"
    APPROVAL_WITHDRAWN = "approval.withdrawn"
    APPROVAL_EXPIRED = "approval.expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Someone who acts: `user:<name>` for a person, `service:<name>` for automation."""

    name: str
    role: Role
    created_ms: int
    created_by: str
    disabled_ms: int | None = None


class TokenKind(StrEnum):
    """What a secret was made for."""

    TOKEN = "token"  # noqa: S105 -- the name of a kind
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInfo:
    """What is known about a token; its secret is not. `permissions` None means all of the identity's role."""

    id: TokenId
    identity: str
    kind: TokenKind
    label: str
    permissions: frozenset[Permission] | None
    created_ms: int
    expires_ms: int
    parent: TokenId | None = None
    revoked_ms: int | None = None
    used_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What is needed to check a secret: the token, its digest, and whose it is."""

    token: TokenInfo
    secret_digest: Digest
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginLink:
    """A code that opens one session, kept as its digest."""

    code_digest: Digest
    token: TokenId
    expires_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A caller whose secret was checked."""

    identity: str
    role: Role
    permissions: frozenset[Permission]
    token: TokenInfo

    def allows(self, permission: Permission) -> bool:
        """Tell whether the caller may do this."""
        return permission in self.permissions

    def require(self, permission: Permission) -> None:
        """Stop a caller who may not do this.

        Raises:
            PermissionDenied: the message says whether the role or the token's scope is too narrow.
        """
        if self.allows(permission):
            return
        narrow = "this token's scope" if permission in ROLES[self.role] else f"the role '{self.role}'"
        raise PermissionDenied(
            f"{self.identity} may not do this: {narrow} lacks '{permission}'; ask an owner for it", field=permission
        )


class ApprovalState(StrEnum):
    """Where an approval stands. All but the first are final; withdrawn and expired are no answer of an approver."""

    PENDING = "pending"
    GRANTED = "granted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person's answer to a decision, bound to content.

    `content` names every input by its digest (model, data, evaluation, policy, environment ...); `digest` is the SHA-256 of
    its canonical JSON, and is what the approver approves.
    """

    id: ApprovalId
    decision: str
    content: Mapping[str, Digest]
    digest: Digest
    state: ApprovalState
    requested_by: str
    requested_ms: int
    decided_by: str | None = None
    decided_ms: int | None = None
    reason: str = ""
