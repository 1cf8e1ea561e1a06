"""Tables of pipeline runs, their steps, and the cache."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from flyball.kernel.db import metadata

pipeline_runs = Table(
    "pipeline_runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("pipeline", Text, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("attempt", Integer, nullable=False),
    Column("result", Text, nullable=False),
    Column("error", Text),
    Column("log_digest", String(64)),
    Index("ix_pipeline_runs_state_id", "state", "id"),
)

pipeline_steps = Table(
    "pipeline_steps",
    metadata,
    Column("run_id", String(32), ForeignKey("pipeline_runs.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("key", String(64)),
    Column("cached", Boolean, nullable=False),
    Column("cached_from", String(32)),
    Column("started_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("output_kind", Text),
    Column("output_digest", String(64)),
    Column("output_bytes", BigInteger),
    Column("log_digest", String(64)),
    Column("error", Text),
)

# A scope is empty for outputs that every run may use, and names one step of one run for those that only it may use again.
pipeline_outputs = Table(
    "pipeline_outputs",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("run_id", String(32), nullable=False),
)
