"""Find runs: by a walk along an index where the order has one, from the rarest clause where one is rare, else by a sort.

A walk costs what the page costs, however many runs there are: it ends when the page is full, and the next page begins where it
ended. A rare clause is looked up in the index of values, and what it leaves is sorted. Both read the same rows as a plain sort.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from flyball.tracking.entities import RunId, View
from flyball.tracking.ports import FoundRuns
from flyball.tracking.search import Clause, Field, Ordering, Place
from flyball.tracking.search.pages import AFTER, invalid_token
from flyball.tracking.sql.numbers import experiment_numbers
from flyball.tracking.sql.run_conditions import RunConditions, order_keys
from flyball.tracking.sql.run_walks import MetricWalk, StartWalk, Strand, Walk
from flyball.tracking.sql.selectivity import rare_clause
from flyball.tracking.tables import runs

# A walk over more (experiment, lifecycle) pairs than this is a sort; SQLite joins 500 SELECTs at most.
MAX_STRANDS = 50
OFFSET = "offset"


class RunSearch:
    """One search; made for each."""

    def __init__(
        self,
        connection: Connection,
        experiment_ids: Sequence[str],
        clauses: Sequence[Clause],
        *,
        view: View,
        order: Sequence[Ordering],
    ) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name
        self._experiments = experiment_numbers(experiment_ids)
        self._lifecycles = view.lifecycles
        self._clauses = clauses
        self._order = order
        conditions = RunConditions(self._dialect)
        self._conditions = [conditions.of(clause) for clause in clauses]
        self._driver = conditions.driver

    def page(self, place: Place, *, limit: int) -> FoundRuns:
        """Return the page that begins at a place.

        Raises:
            InvalidInput: the place is none of this search.
        """
        walk = self._walk()
        if AFTER in place:
            if walk is None:
                raise invalid_token()
            return walk.page(walk.read(place[AFTER]), limit=limit)
        offset = _offset(place)
        near = walk.nearest(limit=limit) if walk is not None and self._clauses and not offset else None
        if near is not None:
            return near
        rare = rare_clause(self._connection, self._clauses, self._strands(), limit=offset + limit)
        if walk is not None and rare is None and not offset:
            return walk.page(None, limit=limit)
        return self._sorted(rare, offset=offset, limit=limit)

    def _walk(self) -> Walk | None:
        strands = self._strands()
        if not 0 < len(strands) <= MAX_STRANDS:
            return None
        by_start = not self._order or (len(self._order) == 1 and _is_start(self._order[0]))
        if by_start:
            ascending = bool(self._order) and self._order[0].ascending
            return StartWalk(self._connection, strands, self._conditions, ascending=ascending)
        if len(self._order) == 1 and self._order[0].field is Field.METRIC:
            return MetricWalk(self._connection, strands, self._conditions, order=self._order[0])
        return None

    def _strands(self) -> list[Strand]:
        return [(number, lifecycle) for number in self._experiments for lifecycle in self._lifecycles]

    def _sorted(self, rare: Clause | None, *, offset: int, limit: int) -> FoundRuns:
        source, keys = order_keys(self._order, self._dialect)
        query = select(runs.c.run_id).select_from(source)
        if rare is None:
            query = query.where(runs.c.experiment_id.in_(self._experiments), runs.c.lifecycle.in_(self._lifecycles))
        else:
            # Written so that no index serves these two: the rare clause is to be looked up first.
            query = query.where(
                runs.c.run_id.in_(self._driver(rare, self._experiments)),
                (runs.c.experiment_id + 0).in_(self._experiments),
                (runs.c.lifecycle + "").in_(self._lifecycles),
            )
        query = query.where(*self._conditions).order_by(*keys, runs.c.run_id).offset(offset).limit(limit + 1)
        ids = [RunId(row.run_id) for row in self._connection.execute(query)]
        more = len(ids) > limit
        return FoundRuns(ids=ids[:limit], next_place={OFFSET: offset + limit} if more else None)


def _is_start(item: Ordering) -> bool:
    return item.field is Field.ATTRIBUTE and item.key == "start_time"


def _offset(place: Place) -> int:
    offset = place.get(OFFSET, 0)
    if not isinstance(offset, int):
        raise invalid_token()
    return offset
