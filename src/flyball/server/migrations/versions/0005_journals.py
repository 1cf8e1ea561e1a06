"""Journals of training processes: how far each is carried out, and what was refused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "journals",
        sa.Column("journal_id", sa.String(length=32), nullable=False),
        sa.Column("applied", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("journal_id", name=op.f("pk_journals")),
    )
    op.create_table(
        "journal_refusals",
        sa.Column("journal_id", sa.String(length=32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["journal_id"], ["journals.journal_id"], name=op.f("fk_journal_refusals_journal_id_journals")
        ),
        sa.PrimaryKeyConstraint("journal_id", "sequence", name=op.f("pk_journal_refusals")),
    )


def downgrade() -> None:
    op.drop_table("journal_refusals")
    op.drop_table("journals")
