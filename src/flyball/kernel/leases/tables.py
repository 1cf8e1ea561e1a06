"""Table of leases."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text

from flyball.kernel.db import metadata

# A row stays when its lease ends (holder becomes empty), because its token must never be given out twice.
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Index("ix_leases_expires_ms", "expires_ms"),
)
