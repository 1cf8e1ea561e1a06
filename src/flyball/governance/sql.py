"""The ports of governance on a database."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

from sqlalchemy import Row, and_, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from flyball.governance.entities import (
    Approval,
    ApprovalId,
    ApprovalState,
    Credential,
    Identity,
    LoginLink,
    TokenId,
    TokenInfo,
    TokenKind,
)
from flyball.governance.permissions import Permission, Role
from flyball.governance.tables import approvals, identities, login_links, tokens
from flyball.kernel.canonical import Digest, canonical_json
from flyball.kernel.db import Database
from flyball.kernel.errors import AlreadyExists

# Added only where the row is not there yet: a failed INSERT would spoil the caller's whole transaction on PostgreSQL.
_INSERT_NEW: dict[str, Callable[..., Insert]] = {
    "sqlite": lambda table, row: sqlite.insert(table).values(**row).on_conflict_do_nothing(),
    "postgresql": lambda table, row: postgresql.insert(table).values(**row).on_conflict_do_nothing(),
}


class SqlAccessStore:
    """Identities, tokens and login links as rows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert_new = _INSERT_NEW[database.dialect]

    def add_identity(self, identity: Identity) -> None:
        with self._database.transaction() as connection:
            insert_new = self._insert_new(identities, dataclasses.asdict(identity))
            if connection.execute(insert_new.returning(identities.c.name)).first() is None:
                raise AlreadyExists(f"the identity '{identity.name}' exists already; choose another name", field="name")

    def find_identity(self, name: str) -> Identity | None:
        with self._database.read() as connection:
            row = connection.execute(select(identities).where(identities.c.name == name)).first()
        return _identity(row) if row else None

    def identities(self) -> tuple[Identity, ...]:
        with self._database.read() as connection:
            return tuple(_identity(row) for row in connection.execute(select(identities).order_by(identities.c.name)))

    def disable_identity(self, name: str, *, now_ms: int) -> bool:
        enabled = and_(identities.c.name == name, identities.c.disabled_ms.is_(None))
        with self._database.transaction() as connection:
            return connection.execute(update(identities).where(enabled).values(disabled_ms=now_ms)).rowcount == 1

    def add_token(self, token: TokenInfo, *, secret_digest: Digest) -> None:
        row = dataclasses.asdict(token) | {"permissions": _scope(token), "secret_digest": secret_digest}
        with self._database.transaction() as connection:
            connection.execute(insert(tokens), row)

    def find_credential(self, token: TokenId) -> Credential | None:
        with self._database.read() as connection:
            row = connection.execute(select(tokens).where(tokens.c.id == token)).first()
            owner = (
                connection.execute(select(identities).where(identities.c.name == row.identity)).first() if row else None
            )
        if row is None or owner is None:
            return None
        return Credential(token=_token(row), secret_digest=Digest(row.secret_digest), identity=_identity(owner))

    def tokens(self, identity: str | None = None) -> tuple[TokenInfo, ...]:
        query = select(tokens).order_by(tokens.c.id)
        if identity is not None:
            query = query.where(tokens.c.identity == identity)
        with self._database.read() as connection:
            return tuple(_token(row) for row in connection.execute(query))

    def revoke_token(self, token: TokenId, *, now_ms: int) -> bool:
        with self._database.transaction() as connection:
            alive = and_(tokens.c.id == token, tokens.c.revoked_ms.is_(None))
            done = connection.execute(update(tokens).where(alive).values(revoked_ms=now_ms)).rowcount == 1
            opened = and_(tokens.c.parent == token, tokens.c.revoked_ms.is_(None))
            connection.execute(update(tokens).where(opened).values(revoked_ms=now_ms))
        return done

    def touch_token(self, token: TokenId, *, now_ms: int) -> None:
        earlier = and_(tokens.c.id == token, or_(tokens.c.used_ms.is_(None), tokens.c.used_ms < now_ms))
        with self._database.transaction() as connection:
            connection.execute(update(tokens).where(earlier).values(used_ms=now_ms))

    def add_link(self, link: LoginLink) -> None:
        with self._database.transaction() as connection:
            connection.execute(insert(login_links), dataclasses.asdict(link))

    def take_link(self, code_digest: Digest, *, now_ms: int) -> LoginLink | None:
        wanted = and_(login_links.c.code_digest == code_digest, login_links.c.expires_ms > now_ms)
        with self._database.transaction() as connection:
            row = connection.execute(select(login_links).where(wanted)).first()
            taken = connection.execute(delete(login_links).where(wanted)).rowcount == 1
            connection.execute(delete(login_links).where(login_links.c.expires_ms <= now_ms))
        if row is None or not taken:
            return None
        return LoginLink(code_digest=code_digest, token=TokenId(row.token), expires_ms=row.expires_ms)


class SqlApprovalStore:
    """Approvals as rows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert_new = _INSERT_NEW[database.dialect]

    def add_approval(self, approval: Approval) -> Approval:
        row = dataclasses.asdict(approval) | {"content": canonical_json(dict(approval.content)).decode()}
        same = and_(approvals.c.decision == approval.decision, approvals.c.digest == approval.digest)
        with self._database.transaction() as connection:
            connection.execute(self._insert_new(approvals, row))
            return _approval(connection.execute(select(approvals).where(same)).one())

    def find_approval(self, approval: ApprovalId) -> Approval | None:
        with self._database.read() as connection:
            row = connection.execute(select(approvals).where(approvals.c.id == approval)).first()
        return _approval(row) if row else None

    def settle_approval(self, settled: Approval) -> bool:
        pending = and_(approvals.c.id == settled.id, approvals.c.state == ApprovalState.PENDING)
        answer = {
            "state": settled.state,
            "decided_by": settled.decided_by,
            "decided_ms": settled.decided_ms,
            "reason": settled.reason,
        }
        with self._database.transaction() as connection:
            return connection.execute(update(approvals).where(pending).values(**answer)).rowcount == 1

    def approvals(self, *, state: ApprovalState | None = None, decision: str | None = None) -> tuple[Approval, ...]:
        query = select(approvals).order_by(approvals.c.id.desc())
        if state is not None:
            query = query.where(approvals.c.state == state)
        if decision is not None:
            query = query.where(approvals.c.decision == decision)
        with self._database.read() as connection:
            return tuple(_approval(row) for row in connection.execute(query))


def _identity(row: Row[tuple[object, ...]]) -> Identity:
    return Identity(
        name=row.name,
        role=Role(row.role),
        created_ms=row.created_ms,
        created_by=row.created_by,
        disabled_ms=row.disabled_ms,
    )


def _scope(token: TokenInfo) -> str | None:
    return None if token.permissions is None else canonical_json(sorted(token.permissions)).decode()


def _token(row: Row[tuple[object, ...]]) -> TokenInfo:
    return TokenInfo(
        id=TokenId(row.id),
        identity=row.identity,
        kind=TokenKind(row.kind),
        label=row.label,
        permissions=None if row.permissions is None else frozenset(map(Permission, json.loads(row.permissions))),
        parent=row.parent,
        created_ms=row.created_ms,
        expires_ms=row.expires_ms,
        revoked_ms=row.revoked_ms,
        used_ms=row.used_ms,
    )


def _approval(row: Row[tuple[object, ...]]) -> Approval:
    return Approval(
        id=ApprovalId(row.id),
        decision=row.decision,
        content={key: Digest(value) for key, value in json.loads(row.content).items()},
        digest=Digest(row.digest),
        state=ApprovalState(row.state),
        requested_by=row.requested_by,
        requested_ms=row.requested_ms,
        decided_by=row.decided_by,
        decided_ms=row.decided_ms,
        reason=row.reason,
    )
