"""Tables of tracking."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    func,
    literal_column,
)

from flyball.kernel.db import metadata

RUN_ID = String(32)
MODEL_ID = String(34)
# SQLite numbers rows by itself only in a column that is exactly INTEGER.
ROW_NUMBER = BigInteger().with_variant(Integer, "sqlite")
# A key of a PostgreSQL index holds 2,700 bytes at most, a value 8,000 characters: its beginning is indexed.
INDEXED_LENGTH = 128

experiments = Table(
    "experiments",
    metadata,
    Column("experiment_id", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, unique=True),
    Column("artifact_location", Text, nullable=False),
    Column("lifecycle", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

experiment_tags = Table(
    "experiment_tags",
    metadata,
    Column("experiment_id", ROW_NUMBER, ForeignKey("experiments.experiment_id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", RUN_ID, primary_key=True),
    Column("experiment_id", ROW_NUMBER, ForeignKey("experiments.experiment_id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger),
    Column("artifact_uri", Text, nullable=False),
    Column("lifecycle", Text, nullable=False),
    # Not read any more: all runs come back with their experiment. Taking it away would rewrite the table on some databases.
    Column("deleted_with_experiment", Boolean, nullable=False, default=False),
)
# In the order of a list of runs, so that its first page and its last cost the same.
Index("ix_runs_experiment_start", runs.c.experiment_id, runs.c.lifecycle, runs.c.start_ms.desc(), runs.c.run_id)


def beginning(table: FromClause) -> ColumnElement[str]:
    """Return the indexed part of a value. Its numbers stand in the statement: a bound one would miss the index."""
    return func.substr(table.c.value, literal_column("1"), literal_column(str(INDEXED_LENGTH)))


def _texts_of_runs(name: str) -> Table:
    """Make a table of texts by key. A search by value begins at its index, which has the run's experiment for that."""
    table = Table(
        name,
        metadata,
        Column("run_id", RUN_ID, ForeignKey("runs.run_id"), primary_key=True),
        Column("key", Text, primary_key=True),
        Column("value", Text, nullable=False),
        Column("experiment_id", ROW_NUMBER, nullable=False),
        sqlite_with_rowid=False,
    )
    Index(f"ix_{name}_value", table.c.experiment_id, table.c.key, beginning(table))
    return table


run_params = _texts_of_runs("run_params")
run_tags = _texts_of_runs("run_tags")

# One row for each metric of a run: its number, its latest point, its extremes. NaN is 0 with is_nan, because SQLite
# stores NaN as NULL.
metric_series = Table(
    "metric_series",
    metadata,
    Column("series_id", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("run_id", RUN_ID, ForeignKey("runs.run_id"), nullable=False),
    Column("experiment_id", ROW_NUMBER, nullable=False),
    Column("key", Text, nullable=False),
    Column("value", Double, nullable=False),
    Column("is_nan", Boolean, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("timestamp_ms", BigInteger, nullable=False),
    Column("minimum", Double),
    Column("maximum", Double),
    Column("point_count", BigInteger, nullable=False),
    Index("uq_metric_series_run_key", "run_id", "key", unique=True),
    Index("ix_metric_series_value", "experiment_id", "key", "is_nan", "value", "run_id"),
)

# Every point. The key is the number of the series and not run and name again, which keeps a million points small; the
# order of the key is the order in which a history is read, and an exact repeat meets its own key.
metric_points = Table(
    "metric_points",
    metadata,
    Column("series_id", BigInteger, nullable=False),
    Column("timestamp_ms", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("value", Double, nullable=False),
    Column("is_nan", Boolean, nullable=False),
    PrimaryKeyConstraint("series_id", "timestamp_ms", "step", "value", "is_nan"),
    sqlite_with_rowid=False,
)

# The extremes of every so many points in the order in which they came, with their places: what a curve is drawn from when
# the points are too many to look at.
metric_blocks = Table(
    "metric_blocks",
    metadata,
    Column("series_id", BigInteger, primary_key=True, autoincrement=False),
    Column("block", BigInteger, primary_key=True, autoincrement=False),
    Column("low", Double, nullable=False),
    Column("low_step", BigInteger, nullable=False),
    Column("low_ms", BigInteger, nullable=False),
    Column("high", Double, nullable=False),
    Column("high_step", BigInteger, nullable=False),
    Column("high_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

logged_datasets = Table(
    "logged_datasets",
    metadata,
    Column("dataset_id", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("experiment_id", ROW_NUMBER, ForeignKey("experiments.experiment_id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("source_type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("schema", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Index("uq_logged_datasets_name_digest", "experiment_id", "name", "digest", unique=True),
)

run_datasets = Table(
    "run_datasets",
    metadata,
    Column("run_id", RUN_ID, ForeignKey("runs.run_id"), primary_key=True),
    Column("dataset_id", ROW_NUMBER, ForeignKey("logged_datasets.dataset_id"), primary_key=True),
    Column("context", Text),
    Column("tags", Text, nullable=False),
)

run_models = Table(
    "run_models",
    metadata,
    Column("run_id", RUN_ID, ForeignKey("runs.run_id"), primary_key=True),
    Column("direction", String(6), primary_key=True),
    Column("model_id", MODEL_ID, primary_key=True),
    Column("step", BigInteger, primary_key=True),
)

logged_models = Table(
    "logged_models",
    metadata,
    Column("model_id", MODEL_ID, primary_key=True),
    Column("experiment_id", ROW_NUMBER, ForeignKey("experiments.experiment_id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("artifact_uri", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("status_message", Text, nullable=False),
    Column("model_type", Text, nullable=False),
    Column("source_run_id", RUN_ID),
    Column("lifecycle", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Index("ix_logged_models_experiment", "experiment_id", "created_ms"),
    Index("ix_logged_models_source_run", "source_run_id"),
)

logged_model_tags = Table(
    "logged_model_tags",
    metadata,
    Column("model_id", MODEL_ID, ForeignKey("logged_models.model_id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

logged_model_params = Table(
    "logged_model_params",
    metadata,
    Column("model_id", MODEL_ID, ForeignKey("logged_models.model_id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

logged_model_metrics = Table(
    "logged_model_metrics",
    metadata,
    Column("model_id", MODEL_ID, ForeignKey("logged_models.model_id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("timestamp_ms", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("run_id", RUN_ID, nullable=False),
    Column("value", Double, nullable=False),
    Column("is_nan", Boolean, nullable=False),
    Column("dataset_name", Text, nullable=False),
    Column("dataset_digest", Text, nullable=False),
    PrimaryKeyConstraint(
        "model_id", "key", "timestamp_ms", "step", "run_id", "dataset_name", "dataset_digest", "value", "is_nan"
    ),
)

journals = Table(
    "journals",
    metadata,
    Column("journal_id", RUN_ID, primary_key=True),
    Column("applied", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
)

journal_refusals = Table(
    "journal_refusals",
    metadata,
    Column("journal_id", RUN_ID, ForeignKey("journals.journal_id"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
)
