"""What this room needs of a store."""

from __future__ import annotations

from typing import Protocol

from flyball.governance.entities import (
    Approval,
    ApprovalId,
    ApprovalState,
    Credential,
    Identity,
    LoginLink,
    TokenId,
    TokenInfo,
)
from flyball.kernel.canonical import Digest


class IdentityStore(Protocol):
    """Keep identities. Threads: any number. Every verb joins the transaction that the calling thread is in."""

    def add_identity(self, identity: Identity) -> None:
        """Add an identity.

        Raises:
            AlreadyExists: the name is taken, by an identity that was disabled too.
        """
        ...

    def find_identity(self, name: str) -> Identity | None:
        """Return an identity, None when there is none."""
        ...

    def identities(self) -> tuple[Identity, ...]:
        """Return all of them, by name."""
        ...

    def disable_identity(self, name: str, *, now_ms: int) -> bool:
        """Mark an identity disabled; False when it does not exist or is disabled already."""
        ...


class TokenStore(Protocol):
    """Keep tokens and login links, without their secrets. Threads and transactions as above."""

    def add_token(self, token: TokenInfo, *, secret_digest: Digest) -> None:
        """Add a token."""
        ...

    def find_credential(self, token: TokenId) -> Credential | None:
        """Return what is needed to check a secret, None when there is no such token."""
        ...

    def tokens(self, identity: str | None = None) -> tuple[TokenInfo, ...]:
        """Return the tokens of one identity, or of all, oldest first."""
        ...

    def revoke_token(self, token: TokenId, *, now_ms: int) -> bool:
        """End a token and the sessions opened with it; False when it does not exist or has ended already."""
        ...

    def touch_token(self, token: TokenId, *, now_ms: int) -> None:
        """Note that a token was used."""
        ...

    def add_link(self, link: LoginLink) -> None:
        """Add a login link."""
        ...

    def take_link(self, code_digest: Digest, *, now_ms: int) -> LoginLink | None:
        """Use up a living link, and drop those that are over; of several who try at once, one gets it, the others None."""
        ...


class AccessStore(IdentityStore, TokenStore, Protocol):
    """Both, on one database."""


class ApprovalStore(Protocol):
    """Keep approvals. Threads and transactions as above."""

    def add_approval(self, approval: Approval) -> Approval:
        """Add an approval, and return it; when one for the same decision and digest is there, return that one."""
        ...

    def find_approval(self, approval: ApprovalId) -> Approval | None:
        """Return an approval, None when there is none."""
        ...

    def settle_approval(self, settled: Approval) -> bool:
        """Replace a pending approval by its settled form; False when it is not pending any more."""
        ...

    def approvals(self, *, state: ApprovalState | None = None, decision: str | None = None) -> tuple[Approval, ...]:
        """Return approvals, newest first."""
        ...
