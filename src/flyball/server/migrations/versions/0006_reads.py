"""What a search and a curve read, in the order in which they read it.

Params, tags and metrics learn the experiment of their run, and get an index by value; the list of runs gets one in its own order;
each metric counts its points, and keeps the extremes of every 128 of them.

SQLite cannot add a column that must not be empty, nor turn a table into one that is kept in the order of its key: there the rows
move into new tables.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXTS = ("run_params", "run_tags")
SERIES = "metric_series"
INDEXED_LENGTH = 128
BLOCK = 128


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        for name in TEXTS:
            _move(name, _texts, "run_id, key, value")
        op.drop_index("uq_metric_series_run_key", table_name=SERIES)
        _move(SERIES, _series, "series_id, run_id, key, value, is_nan, step, timestamp_ms, minimum, maximum", count="0")
        op.create_index("uq_metric_series_run_key", SERIES, ["run_id", "key"], unique=True)
    else:
        op.add_column(SERIES, sa.Column("point_count", sa.BigInteger(), nullable=False, server_default="0"))
        op.alter_column(SERIES, "point_count", server_default=None)
        for name in (*TEXTS, SERIES):
            _fill(name)
    _count_points()
    for name in TEXTS:
        prefix = sa.text(f"substr(value, 1, {INDEXED_LENGTH})")
        op.create_index(f"ix_{name}_value", name, ["experiment_id", "key", prefix])
    op.create_index("ix_metric_series_value", SERIES, ["experiment_id", "key", "is_nan", "value", "run_id"])
    op.drop_index("ix_runs_experiment_start", table_name="runs")
    op.create_index(
        "ix_runs_experiment_start", "runs", ["experiment_id", "lifecycle", sa.text("start_ms DESC"), "run_id"]
    )


def downgrade() -> None:
    op.drop_table("metric_blocks")
    op.drop_index("ix_runs_experiment_start", table_name="runs")
    op.create_index("ix_runs_experiment_start", "runs", ["experiment_id", "lifecycle", "start_ms"])
    op.drop_index("ix_metric_series_value", table_name=SERIES)
    for name in (*TEXTS, SERIES):
        if name in TEXTS:
            op.drop_index(f"ix_{name}_value", table_name=name)
        with op.batch_alter_table(name) as batch:
            batch.drop_column("experiment_id")
            if name == SERIES:
                batch.drop_column("point_count")


def _move(name: str, make: Callable[[str], None], columns: str, *, count: str = "") -> None:
    op.rename_table(name, f"{name}_old")
    make(name)
    named = ", ".join(f"old.{column.strip()}" for column in columns.split(","))
    into, more = (", point_count", f", {count}") if count else ("", "")
    op.execute(
        f"INSERT INTO {name} ({columns}, experiment_id{into}) SELECT {named}, runs.experiment_id{more} "  # noqa: S608 -- names of ours
        f"FROM {name}_old AS old JOIN runs ON runs.run_id = old.run_id"
    )
    op.drop_table(f"{name}_old")


def _fill(name: str) -> None:
    op.add_column(name, sa.Column("experiment_id", sa.BigInteger(), nullable=True))
    op.execute(
        f"UPDATE {name} SET experiment_id = runs.experiment_id FROM runs WHERE runs.run_id = {name}.run_id"  # noqa: S608 -- names of ours
    )
    op.alter_column(name, "experiment_id", nullable=False)


def _count_points() -> None:
    op.create_table(
        "metric_blocks",
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("low", sa.Double(), nullable=False),
        sa.Column("low_step", sa.BigInteger(), nullable=False),
        sa.Column("low_ms", sa.BigInteger(), nullable=False),
        sa.Column("high", sa.Double(), nullable=False),
        sa.Column("high_step", sa.BigInteger(), nullable=False),
        sa.Column("high_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("series_id", "block", name=op.f("pk_metric_blocks")),
        sqlite_with_rowid=False,
    )
    op.execute(
        "UPDATE metric_series SET point_count = "
        "(SELECT count(*) FROM metric_points WHERE metric_points.series_id = metric_series.series_id)"
    )
    order = "ORDER BY timestamp_ms, step, value, is_nan"
    op.execute(
        f"""
        WITH numbered AS (
            SELECT series_id, timestamp_ms, step, value, is_nan,
                   (row_number() OVER (PARTITION BY series_id {order}) - 1) / {BLOCK} AS block
            FROM metric_points
        ), ranked AS (
            SELECT series_id, block, timestamp_ms, step, value,
                   row_number() OVER (PARTITION BY series_id, block ORDER BY value, step, timestamp_ms) AS lowest,
                   row_number() OVER (PARTITION BY series_id, block ORDER BY value DESC, step, timestamp_ms) AS highest
            FROM numbered WHERE NOT is_nan
        )
        INSERT INTO metric_blocks (series_id, block, low, low_step, low_ms, high, high_step, high_ms)
        SELECT least.series_id, least.block, least.value, least.step, least.timestamp_ms,
               most.value, most.step, most.timestamp_ms
        FROM ranked AS least JOIN ranked AS most ON most.series_id = least.series_id AND most.block = least.block
        WHERE least.lowest = 1 AND most.highest = 1
        """  # noqa: S608 -- a number and an order of ours
    )


def _texts(name: str) -> None:
    op.create_table(
        name,
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("experiment_id", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f(f"fk_{name}_run_id_runs")),
        sa.PrimaryKeyConstraint("run_id", "key", name=op.f(f"pk_{name}")),
        sqlite_with_rowid=False,
    )


def _series(name: str) -> None:
    op.create_table(
        name,
        sa.Column("series_id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("experiment_id", NUMBER, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("is_nan", sa.Boolean(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("minimum", sa.Double(), nullable=True),
        sa.Column("maximum", sa.Double(), nullable=True),
        sa.Column("point_count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_metric_series_run_id_runs")),
        sa.PrimaryKeyConstraint("series_id", name=op.f("pk_metric_series")),
    )
