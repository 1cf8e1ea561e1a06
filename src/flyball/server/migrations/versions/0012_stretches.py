"""What a window's rows looked like, stretch of arrivals by stretch."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "traffic_stretches",
        sa.Column("endpoint", sa.Text(), primary_key=True),
        sa.Column("start_ms", sa.BigInteger(), primary_key=True),
        sa.Column("end_ms", sa.BigInteger(), primary_key=True),
        sa.Column("after", sa.BigInteger(), primary_key=True),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("traffic_stretches")
