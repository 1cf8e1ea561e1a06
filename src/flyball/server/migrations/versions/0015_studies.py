"""Studies: calibrations and backtests in the background."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "monitor_studies",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("monitor", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_monitor_studies_state_id", "monitor_studies", ["state", "id"])
    op.create_index("ix_monitor_studies_monitor_id", "monitor_studies", ["monitor", "id"])
    op.create_index("ix_monitor_studies_ended_ms", "monitor_studies", ["ended_ms"])
    # Finished deliveries are removed by their age.
    op.create_index("ix_alert_deliveries_updated_ms", "alert_deliveries", ["updated_ms"])


def downgrade() -> None:
    op.drop_index("ix_alert_deliveries_updated_ms", "alert_deliveries")
    op.drop_table("monitor_studies")
