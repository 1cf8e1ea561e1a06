"""Which columns name artifacts by digest."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnClause, column, select, table

from flyball.kernel.canonical import Digest
from flyball.server.backup.sql.side import Side

# Every digest here is that of bytes which were stored before the row was written.
NAMING = (
    ("artifact_names", "digest"),
    ("dataset_versions", "profile_digest"),
    ("decisions", "evidence_digest"),
    ("pipeline_outputs", "digest"),
    ("pipeline_runs", "log_digest"),
    ("pipeline_steps", "log_digest"),
    ("pipeline_steps", "output_digest"),
    ("prediction_segments", "digest"),
)
# These are digests of something else: of values that stand in the row, of a tree of files, of secrets, of the chain; or of evidence
# that somebody named, and that need not be here.
OTHERS = (
    ("approvals", "digest"),
    ("dataset_versions", "digest"),
    ("evaluation_records", "input_digest"),
    ("events", "digest"),
    ("events", "previous"),
    ("imported_things", "digest"),
    ("login_links", "code_digest"),
    ("model_version_evidence", "digest"),
    ("model_versions", "digest"),
    ("monitor_calibrations", "digest"),
    ("pipeline_outputs", "key"),
    ("pipeline_steps", "key"),
    ("policies", "digest"),
    ("prediction_segments", "arrived_as"),
    ("tokens", "secret_digest"),
    ("window_reports", "digest"),
)


def named_digests(side: Side) -> Iterator[Digest]:
    """Walk the digests that rows name artifacts by, each once for a column."""
    there = {(shape.name, name) for shape in side.tables() for name in shape.columns}
    for table_name, name in NAMING:
        if (table_name, name) in there:
            wanted: ColumnClause[str] = column(name)
            query = select(wanted).select_from(table(table_name)).where(wanted.is_not(None)).distinct()
            for row in side.connection.execution_options(yield_per=10_000).execute(query):
                yield Digest(row[0])
