"""Tables of the event log."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from flyball.kernel.db import metadata

events = Table(
    "events",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("edges", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Index("ix_events_subject_seq", "subject", "seq"),
    Index("ix_events_kind_seq", "kind", "seq"),
)

# The edges of each event again, one a row, so that lineage can be walked in both directions by index.
edges = Table(
    "edges",
    metadata,
    Column("seq", BigInteger, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("relation", Text, nullable=False),
    Column("object", Text, nullable=False),
    Index("ix_edges_subject", "subject"),
    Index("ix_edges_object", "object"),
)
