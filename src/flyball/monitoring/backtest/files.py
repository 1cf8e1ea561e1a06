"""A backtest over Parquet files, without a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flyball.kernel.errors import InvalidInput
from flyball.monitoring.backtest.histories import Roles, TableHistory, log_table
from flyball.monitoring.backtest.replay import Stretch, backtest
from flyball.monitoring.backtest.results import Backtest, Incident
from flyball.monitoring.monitor import Monitor, parse_monitor


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The rows that are replayed, and those that were normal: a file of their own, or the history before a moment."""

    history: Path
    reference: Path | None = None
    reference_until_ms: int | None = None


def backtest_files(
    document: str, files: Files, *, roles: Roles, against: str | None = None, incidents: Sequence[Incident] = ()
) -> Backtest:
    """Replay a monitor's file over a table; see `backtest`.

    Raises:
        InvalidInput: a file that is no Parquet, a column that is not there, or no reference.
    """
    draft = parse_monitor(document)
    current = None if against is None else parse_monitor(against)
    table = log_table(_read(files.history), roles)
    past = None if files.reference is None else log_table(_read(files.reference), roles)
    return backtest_tables(
        draft, table, roles=roles, past=past, until_ms=files.reference_until_ms, current=current, incidents=incidents
    )


def backtest_tables(
    draft: Monitor,
    table: pa.Table,
    *,
    roles: Roles,
    past: pa.Table | None = None,
    until_ms: int | None = None,
    current: Monitor | None = None,
    incidents: Sequence[Incident] = (),
) -> Backtest:
    """Replay a monitor over a table in the schema of the log (`log_table`).

    Args:
        draft: the monitor.
        table: the history, ordered by time.
        roles: which columns the table was made from.
        past: rows that were normal, in the same schema.
        until_ms: rows of the history before this moment are the reference (or, with `past`, are left out).
        current: a monitor to compare with.
        incidents: what happened.
    """
    normal = past if past is not None else _before(table, until_ms)
    if not normal.num_rows:
        raise InvalidInput("the reference holds no row: name a later moment, or a file", field="reference_until")
    labelled = bool(roles.prediction and roles.label)
    history = TableHistory(table=table, normal=normal, has_labels=labelled)
    before = TableHistory(table=normal, normal=normal, has_labels=labelled)
    return backtest(
        draft, history, current=current, past=before, stretch=Stretch(reference_until_ms=until_ms), incidents=incidents
    )


def _before(table: pa.Table, until_ms: int | None) -> pa.Table:
    if until_ms is None:
        raise InvalidInput("say what was normal with --reference or --reference-until", field="reference_until")
    return table.filter(pc.field("time_ms") < until_ms)


def _read(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidInput(f"{path} is no Parquet file: {error}", field="history") from error
    if not table.num_rows:
        raise InvalidInput(f"{path} holds no row", field="history")
    return table
