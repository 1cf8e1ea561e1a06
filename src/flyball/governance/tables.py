"""Tables of governance."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table, Text, UniqueConstraint

from flyball.kernel.db import metadata

identities = Table(
    "identities",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("disabled_ms", BigInteger),
)

# Tokens and sessions. `permissions` is a canonical JSON list, NULL for all that the role allows.
tokens = Table(
    "tokens",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("identity", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("permissions", Text),
    Column("secret_digest", String(64), nullable=False),
    Column("parent", String(32)),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
    Column("used_ms", BigInteger),
    Index("ix_tokens_identity", "identity"),
    Index("ix_tokens_parent", "parent"),
)

login_links = Table(
    "login_links",
    metadata,
    Column("code_digest", String(64), primary_key=True),
    Column("token", String(32), nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("decision", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("state", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_ms", BigInteger, nullable=False),
    Column("decided_by", Text),
    Column("decided_ms", BigInteger),
    Column("reason", Text, nullable=False),
    UniqueConstraint("decision", "digest"),
    Index("ix_approvals_state", "state"),
)
