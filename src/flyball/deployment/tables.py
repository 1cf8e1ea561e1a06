"""Tables of endpoints, rollouts and the reports of model servers."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from flyball.kernel.db import metadata

endpoints = Table(
    "endpoints",
    metadata,
    Column("name", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("routes", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("salt", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    # What the prediction log keeps, as canonical JSON; NULL for everything.
    Column("capture", Text),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("endpoint", Text, nullable=False),
    Column("champion", Integer, nullable=False),
    Column("challenger", Integer, nullable=False),
    # share, stop rule, outcomes and verdict as one canonical JSON text: read and written together, never searched
    Column("trial", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("looks", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("started_by", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Index("ix_rollouts_endpoint_id", "endpoint", "id"),
)

endpoint_statuses = Table(
    "endpoint_statuses",
    metadata,
    Column("endpoint", Text, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("url", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("heartbeat_ms", BigInteger, nullable=False),
    Column("loaded", Text, nullable=False),
    Column("error", Text, nullable=False),
)
