"""Table of silences."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from flyball.kernel.db import metadata

silences = Table(
    "alert_silences",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("content", Text, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Index("ix_alert_silences_end_ms", "end_ms"),
)
