"""What an endpoint captures; where the rows of a segment lie once it was merged with others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("endpoints", sa.Column("capture", sa.Text(), nullable=True))
    op.add_column("prediction_segments", sa.Column("arrived_as", sa.String(length=64), nullable=True))
    op.add_column("prediction_segments", sa.Column("merged_ms", sa.BigInteger(), nullable=True))
    op.add_column("prediction_segments", sa.Column("freed_ms", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("prediction_segments", "freed_ms")
    op.drop_column("prediction_segments", "merged_ms")
    op.drop_column("prediction_segments", "arrived_as")
    op.drop_column("endpoints", "capture")
