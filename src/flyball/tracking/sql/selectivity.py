"""Guess whether a search is better begun at its rarest clause than along its order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, func, select

from flyball.tracking.entities import Lifecycle
from flyball.tracking.search import Clause
from flyball.tracking.sql.run_conditions import KEYED, indexed, is_indexed
from flyball.tracking.tables import runs

# Counting stops here: a clause that holds for more runs is not rare, and counting on would cost more than it tells.
MOST_RARE = 5_000
MOST_RUNS = 200_000
# Runs that a rare clause leaves are fetched one by one, all over the table, and sorted: 12 µs each where a step of a walk takes 2.
FETCH_COST = 6.0


def rare_clause(
    connection: Connection, clauses: Sequence[Clause], strands: Sequence[tuple[int, Lifecycle]], *, limit: int
) -> Clause | None:
    """Return the clause to begin at, None where walking along the order is expected to meet a page of runs sooner.

    The walk is expected to look at `limit / (share of the first clause x share of the second ...)` runs, as if the clauses were
    independent.
    """
    known = [clause for clause in clauses if is_indexed(clause)]
    if not known or not strands:
        return None
    experiments = sorted({number for number, _ in strands})
    counts = [(_count(connection, clause, experiments), clause) for clause in known]
    rarest, clause = min(counts, key=lambda pair: pair[0])
    if rarest >= MOST_RARE:
        return None
    total = max(1, _scalar(connection, _capped(_all(experiments), MOST_RUNS)))
    walked = float(limit)
    for count, _ in counts:
        walked /= max(1, min(count, total)) / total
    return clause if rarest * FETCH_COST < min(walked, total) else None


def _count(connection: Connection, clause: Clause, experiments: Sequence[int]) -> int:
    table = KEYED[clause.field]
    held = select(table.c.run_id).where(table.c.experiment_id.in_(experiments), *indexed(clause))
    return _scalar(connection, _capped(held, MOST_RARE))


def _all(experiments: Sequence[int]) -> Select[Any]:
    return select(runs.c.run_id).where(runs.c.experiment_id.in_(experiments))


def _capped(query: Select[Any], cap: int) -> Select[int]:
    return select(func.count()).select_from(query.limit(cap).subquery())


def _scalar(connection: Connection, query: Select[int]) -> int:
    return int(connection.execute(query).scalar_one())
