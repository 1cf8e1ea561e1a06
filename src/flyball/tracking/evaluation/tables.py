"""Tables of evaluation datasets."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from flyball.kernel.db import metadata

evaluation_datasets = Table(
    "evaluation_datasets",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", Text, nullable=False),
    Column("schema", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("updated_by", Text, nullable=False),
    Index("ix_evaluation_datasets_name", "name"),
    Index("ix_evaluation_datasets_created_ms", "created_ms"),
)


def _of_dataset() -> Column[str]:
    return Column("dataset_id", String(36), ForeignKey("evaluation_datasets.id", ondelete="CASCADE"), primary_key=True)


evaluation_tags = Table(
    "evaluation_tags",
    metadata,
    _of_dataset(),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

evaluation_experiments = Table(
    "evaluation_experiments",
    metadata,
    _of_dataset(),
    Column("experiment_id", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Index("ix_evaluation_experiments_experiment_id", "experiment_id"),
)

# The JSON of a record is kept as text: SQLite and PostgreSQL read back exactly what was written.
evaluation_records = Table(
    "evaluation_records",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("dataset_id", String(36), ForeignKey("evaluation_datasets.id", ondelete="CASCADE"), nullable=False),
    Column("content", Text, nullable=False),
    Column("input_digest", String(64), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("updated_by", Text, nullable=False),
    Index("ix_evaluation_records_dataset_id_created_ms_id", "dataset_id", "created_ms", "id"),
    Index("ix_evaluation_records_dataset_id_input_digest", "dataset_id", "input_digest", unique=True),
)
