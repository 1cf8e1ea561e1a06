"""Endpoints, the prediction log, monitors and the loop."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("monitor", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("active", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("active", name=op.f("uq_alerts_active")),
    )
    op.create_index("ix_alerts_monitor_kind_start_ms", "alerts", ["monitor", "kind", "start_ms"], unique=False)
    op.create_index("ix_alerts_state", "alerts", ["state"], unique=False)
    op.create_table(
        "endpoint_statuses",
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat_ms", sa.BigInteger(), nullable=False),
        sa.Column("loaded", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", name=op.f("pk_endpoint_statuses")),
    )
    op.create_table(
        "endpoints",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("routes", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("salt", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_endpoints")),
    )
    op.create_table(
        "labels",
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("prediction_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("event_ms", sa.BigInteger(), nullable=False),
        sa.Column("arrival", sa.BigInteger(), nullable=False),
        sa.Column("newest", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "prediction_id", "revision", name=op.f("pk_labels")),
    )
    op.create_index("ix_labels_endpoint_arrival", "labels", ["endpoint", "arrival"], unique=False)
    op.create_index("ix_labels_endpoint_event_ms", "labels", ["endpoint", "event_ms"], unique=False)
    op.create_table(
        "loops",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_loops")),
    )
    op.create_table(
        "monitor_windows",
        sa.Column("monitor", sa.Text(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("end_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("labelled", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("monitor", "start_ms", name=op.f("pk_monitor_windows")),
    )
    op.create_index("ix_monitor_windows_monitor_state", "monitor_windows", ["monitor", "state"], unique=False)
    op.create_table(
        "monitors",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("seen_arrival", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_monitors")),
    )
    op.create_table(
        "prediction_index",
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("prediction_id", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("arrival", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "prediction_id", "answer", name=op.f("pk_prediction_index")),
    )
    op.create_index("ix_prediction_index_endpoint_arrival", "prediction_index", ["endpoint", "arrival"], unique=False)
    op.create_index(
        "ix_prediction_index_endpoint_time_ms", "prediction_index", ["endpoint", "time_ms", "arrival"], unique=False
    )
    op.create_table(
        "prediction_segments",
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("arrival", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("min_ms", sa.BigInteger(), nullable=False),
        sa.Column("max_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "arrival", name=op.f("pk_prediction_segments")),
    )
    op.create_table(
        "prediction_streams",
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("watermark_ms", sa.BigInteger(), nullable=False),
        sa.Column("arrivals", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", name=op.f("pk_prediction_streams")),
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("loop", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("window_start_ms", sa.BigInteger(), nullable=False),
        sa.Column("window_end_ms", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("training", sa.Text(), nullable=False),
        sa.Column("holdout", sa.Text(), nullable=False),
        sa.Column("recent", sa.Text(), nullable=False),
        sa.Column("pipeline_run_id", sa.Text(), nullable=False),
        sa.Column("champion", sa.Integer(), nullable=True),
        sa.Column("challenger", sa.Integer(), nullable=True),
        sa.Column("decision_id", sa.Text(), nullable=False),
        sa.Column("approval_id", sa.Text(), nullable=False),
        sa.Column("rollout_id", sa.Text(), nullable=False),
        sa.Column("canary_from_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
    )
    op.create_index("ix_requests_loop_id", "requests", ["loop", "id"], unique=False)
    op.create_index("ix_requests_state", "requests", ["state"], unique=False)
    op.create_index(
        "uq_requests_running",
        "requests",
        ["loop"],
        unique=True,
        sqlite_where=sa.text("(state NOT IN ('failed', 'promoted', 'refused', 'rolled_back'))"),
        postgresql_where=sa.text("(state NOT IN ('failed', 'promoted', 'refused', 'rolled_back'))"),
    )
    op.create_table(
        "rollouts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("champion", sa.Integer(), nullable=False),
        sa.Column("challenger", sa.Integer(), nullable=False),
        sa.Column("trial", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollouts")),
    )
    op.create_index("ix_rollouts_endpoint_id", "rollouts", ["endpoint", "id"], unique=False)
    op.create_table(
        "window_reports",
        sa.Column("monitor", sa.Text(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("monitor", "start_ms", "revision", name=op.f("pk_window_reports")),
    )


def downgrade() -> None:
    op.drop_table("window_reports")
    op.drop_index("ix_rollouts_endpoint_id", table_name="rollouts")
    op.drop_table("rollouts")
    op.drop_index(
        "uq_requests_running",
        table_name="requests",
        sqlite_where=sa.text("(state NOT IN ('failed', 'promoted', 'refused', 'rolled_back'))"),
        postgresql_where=sa.text("(state NOT IN ('failed', 'promoted', 'refused', 'rolled_back'))"),
    )
    op.drop_index("ix_requests_state", table_name="requests")
    op.drop_index("ix_requests_loop_id", table_name="requests")
    op.drop_table("requests")
    op.drop_table("prediction_streams")
    op.drop_table("prediction_segments")
    op.drop_index("ix_prediction_index_endpoint_time_ms", table_name="prediction_index")
    op.drop_index("ix_prediction_index_endpoint_arrival", table_name="prediction_index")
    op.drop_table("prediction_index")
    op.drop_table("monitors")
    op.drop_index("ix_monitor_windows_monitor_state", table_name="monitor_windows")
    op.drop_table("monitor_windows")
    op.drop_table("loops")
    op.drop_index("ix_labels_endpoint_event_ms", table_name="labels")
    op.drop_index("ix_labels_endpoint_arrival", table_name="labels")
    op.drop_table("labels")
    op.drop_table("endpoints")
    op.drop_table("endpoint_statuses")
    op.drop_index("ix_alerts_state", table_name="alerts")
    op.drop_index("ix_alerts_monitor_kind_start_ms", table_name="alerts")
    op.drop_table("alerts")
