"""Tables of sinks: their document, and an outbox that is filled in the transaction of the alert that it tells of."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from flyball.kernel.db import metadata

# One row: a document replaces the one before. Secrets stand in it by reference only.
documents = Table(
    "alert_sink_documents",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("content", Text, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
)

deliveries = Table(
    "alert_deliveries",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("sink", Text, nullable=False),
    Column("grouping", Text, nullable=False),
    Column("occasion", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    Column("due_ms", BigInteger, nullable=True),
    Column("reason", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Index("ix_alert_deliveries_sink_due_ms", "sink", "due_ms"),
    Index("ix_alert_deliveries_due_ms", "due_ms"),
    Index("ix_alert_deliveries_updated_ms", "updated_ms"),
)

delivery_alerts = Table(
    "alert_delivery_alerts",
    metadata,
    Column("delivery_id", String(32), ForeignKey("alert_deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("alert_id", String(32), primary_key=True),
    Index("ix_alert_delivery_alerts_alert_id", "alert_id"),
)
