"""Tables of loops and requests."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from flyball.kernel.db import metadata
from flyball.retraining.entities import FINAL

loops = Table(
    "loops",
    metadata,
    Column("name", Text, primary_key=True),
    Column("document", Text, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
)

requests = Table(
    "requests",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("loop", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("alert_id", Text, nullable=False),
    Column("window_start_ms", BigInteger, nullable=False),
    Column("window_end_ms", BigInteger, nullable=False),
    Column("cause", Text),
    Column("reason", Text, nullable=False),
    Column("training", Text, nullable=False),
    Column("holdout", Text, nullable=False),
    Column("recent", Text, nullable=False),
    Column("pipeline_run_id", Text, nullable=False),
    Column("champion", Integer),
    Column("challenger", Integer),
    Column("decision_id", Text, nullable=False),
    Column("approval_id", Text, nullable=False),
    Column("rollout_id", Text, nullable=False),
    Column("canary_from_ms", BigInteger, nullable=False),
    Index("ix_requests_loop_id", "loop", "id"),
    Index("ix_requests_state", "state"),
)

# One running request a loop, held by the database: two workers, or a worker and a person, cannot both open one.
_RUNNING = requests.c.state.not_in(sorted(FINAL))
Index("uq_requests_running", requests.c.loop, unique=True, sqlite_where=_RUNNING, postgresql_where=_RUNNING)
