"""How many predictions each endpoint's log holds, and how many it lost, as counters that need no reading of the log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "prediction_losses",
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "reason", name=op.f("pk_prediction_losses")),
    )
    with op.batch_alter_table("prediction_streams") as batch:
        batch.add_column(sa.Column("captured_rows", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE prediction_streams SET captured_rows = (SELECT coalesce(sum(row_count), 0) FROM prediction_segments "
        "WHERE prediction_segments.endpoint = prediction_streams.endpoint)"
    )
    with op.batch_alter_table("prediction_streams") as batch:
        batch.alter_column("captured_rows", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("prediction_streams") as batch:
        batch.drop_column("captured_rows")
    op.drop_table("prediction_losses")
