"""Table of studies."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from flyball.kernel.db import metadata

studies = Table(
    "monitor_studies",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("monitor", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger, nullable=True),
    Column("ended_ms", BigInteger, nullable=True),
    Column("attempts", Integer, nullable=False),
    Column("stage", Text, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("error", Text, nullable=False),
    Column("error_code", Text, nullable=False),
    # Megabytes for a long backtest: never read along with the rest.
    Column("result", Text, nullable=True),
    Index("ix_monitor_studies_state_id", "state", "id"),
    Index("ix_monitor_studies_monitor_id", "monitor", "id"),
    Index("ix_monitor_studies_ended_ms", "ended_ms"),
)
