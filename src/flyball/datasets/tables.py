"""Tables of datasets."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from flyball.kernel.db import metadata

# One row a name; whoever adds a version holds it, so that numbers have no gap and no double.
datasets = Table(
    "datasets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("latest", Integer, nullable=False),
)

dataset_versions = Table(
    "dataset_versions",
    metadata,
    Column("name", Text, ForeignKey("datasets.name"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("row_count", BigInteger, nullable=False),
    Column("columns", Text, nullable=False),
    Column("profile_digest", String(64), nullable=False),
    Column("source", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("context", Text, nullable=False),
    Index("ix_dataset_versions_digest", "digest"),
)
