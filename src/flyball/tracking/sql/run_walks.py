"""Walks over runs along an index: a page costs what it holds, and the next one begins where it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Select, and_, literal_column, or_, select, union_all

from flyball.tracking.entities import Lifecycle, RunId
from flyball.tracking.ports import FoundRuns
from flyball.tracking.search import Ordering, Place
from flyball.tracking.search.pages import AFTER, invalid_token
from flyball.tracking.tables import metric_series, runs

# A walk looks at a run in about 2 µs, a clause included: so many are looked at before anything is counted.
NEAR = 5_000

Strand = tuple[int, Lifecycle]


class Walk(Protocol):
    """A walk along an index, one strand beside the other."""

    def page(self, after: Any, *, limit: int) -> FoundRuns:  # noqa: ANN401 -- what `read` of the same walk returned
        """Return the page after a place; None is the beginning."""
        ...

    def nearest(self, *, limit: int) -> FoundRuns | None:
        """Return the first page if a short walk fills it."""
        ...

    def read(self, value: object) -> Any:  # noqa: ANN401
        """Read a place that this walk wrote.

        Raises:
            InvalidInput: it is none of this walk's.
        """
        ...


class StartWalk:
    """Runs by start time, then id."""

    def __init__(
        self,
        connection: Connection,
        strands: Sequence[Strand],
        conditions: Sequence[ColumnElement[bool]],
        *,
        ascending: bool,
    ) -> None:
        self._connection = connection
        self._strands = strands
        self._conditions = conditions
        self._ascending = ascending

    def read(self, value: object) -> tuple[int, str]:
        match value:
            case [int(start_ms), str(run_id)]:
                return start_ms, run_id
        raise invalid_token()

    def nearest(self, *, limit: int) -> FoundRuns | None:
        """Return the first page if the nearest few thousand runs fill it, None where only a longer walk would tell."""
        if len(self._strands) != 1:
            return None
        bound = self._connection.execute(self._bare(self._strands[0]).offset(NEAR).limit(1)).first()
        if bound is None:
            return self.page(None, limit=limit)
        start = runs.c.start_ms
        near = start <= bound.start_ms if self._ascending else start >= bound.start_ms
        rows = list(self._connection.execute(self._part(self._strands[0], None).where(near).limit(limit + 1)))
        return self._page(rows, limit=limit) if len(rows) > limit else None

    def page(self, after: tuple[int, str] | None, *, limit: int) -> FoundRuns:
        return self._page(self.rows(after, limit=limit + 1), limit=limit)

    def _page(self, rows: Sequence[Any], *, limit: int) -> FoundRuns:
        more = len(rows) > limit
        last = rows[limit - 1] if more else None
        place: Place | None = {AFTER: [last.start_ms, last.run_id]} if last else None
        return FoundRuns(ids=[RunId(row.run_id) for row in rows[:limit]], next_place=place)

    def rows(self, after: tuple[int, str] | None, *, limit: int) -> list[Any]:
        parts = [self._part(strand, after).limit(limit) for strand in self._strands]
        direction = "ASC" if self._ascending else "DESC"
        return _union(self._connection, parts, [f"start_ms {direction}", "run_id ASC"], limit=limit)

    def _part(self, strand: Strand, after: tuple[int, str] | None) -> Select[Any]:
        query = self._bare(strand).where(*self._conditions)
        return query if after is None else query.where(_past(runs.c.start_ms, after, ascending=self._ascending))

    def _bare(self, strand: Strand) -> Select[Any]:
        columns = runs.c
        start = columns.start_ms.asc() if self._ascending else columns.start_ms.desc()
        query = select(columns.run_id, columns.start_ms)
        query = query.where(columns.experiment_id == strand[0], columns.lifecycle == strand[1])
        return query.order_by(start, columns.run_id)


class MetricWalk:
    """Runs by the latest value of one metric: the numbers, then NaN, then the runs without it."""

    VALUES, NAN, MISSING = range(3)

    def __init__(
        self,
        connection: Connection,
        strands: Sequence[Strand],
        conditions: Sequence[ColumnElement[bool]],
        *,
        order: Ordering,
    ) -> None:
        self._connection = connection
        self._strands = strands
        self._conditions = conditions
        self._key = order.key
        self._ascending = order.ascending

    def read(self, value: object) -> tuple[int, float, int, str]:
        match value:
            case [int(stage), str(number), int(start_ms), str(run_id)] if self.VALUES <= stage <= self.MISSING:
                try:
                    return stage, float(number), start_ms, run_id
                except ValueError:
                    pass
        raise invalid_token()

    def nearest(self, *, limit: int) -> FoundRuns | None:  # noqa: ARG002 -- the walk by start time has one
        return None

    def page(self, after: tuple[int, float, int, str] | None, *, limit: int) -> FoundRuns:
        rows: list[tuple[int, Any]] = []
        stage = after[0] if after else self.VALUES
        while stage <= self.MISSING and len(rows) <= limit:
            here = after[1:] if after and after[0] == stage else None
            rows += [(stage, row) for row in self._stage(stage, here, limit=limit + 1 - len(rows))]
            stage += 1
        place: Place | None = None
        if len(rows) > limit:
            at, last = rows[limit - 1]
            place = {AFTER: [at, repr(float(getattr(last, "value", 0.0))), last.start_ms, last.run_id]}
        return FoundRuns(ids=[RunId(row.run_id) for _, row in rows[:limit]], next_place=place)

    def _stage(self, stage: int, after: tuple[float, int, str] | None, *, limit: int) -> list[Any]:
        if stage == self.MISSING:
            missing = ~select(metric_series.c.run_id).where(_own(self._key)).exists()
            walk = StartWalk(self._connection, self._strands, [*self._conditions, missing], ascending=False)
            return walk.rows(after[1:] if after else None, limit=limit)
        parts = [self._part(strand, stage, after).limit(limit) for strand in self._strands]
        direction = "ASC" if self._ascending else "DESC"
        return _union(self._connection, parts, [f"value {direction}", "start_ms DESC", "run_id ASC"], limit=limit)

    def _part(self, strand: Strand, stage: int, after: tuple[float, int, str] | None) -> Select[Any]:
        series = metric_series.c
        query = (
            select(runs.c.run_id, runs.c.start_ms, series.value)
            .join_from(metric_series, runs, runs.c.run_id == series.run_id)
            .where(
                series.experiment_id == strand[0],
                series.key == self._key,
                series.is_nan == (stage == self.NAN),
                (runs.c.lifecycle + "") == strand[1],
                *self._conditions,
            )
        )
        if after is not None:
            query = query.where(self._past_value(after))
        value = series.value.asc() if self._ascending else series.value.desc()
        return query.order_by(value, runs.c.start_ms.desc(), runs.c.run_id)

    def _past_value(self, after: tuple[float, int, str]) -> ColumnElement[bool]:
        value, tie = metric_series.c.value, _past(runs.c.start_ms, after[1:], ascending=False)
        beyond, within = (
            (value > after[0], value >= after[0]) if self._ascending else (value < after[0], value <= after[0])
        )
        return and_(within, or_(beyond, tie))


def _union(connection: Connection, parts: Sequence[Select[Any]], order: Sequence[str], *, limit: int) -> list[Any]:
    if len(parts) == 1:
        return list(connection.execute(parts[0]))
    whole = union_all(*(select(part.subquery()) for part in parts))
    return list(connection.execute(whole.order_by(*map(literal_column, order)).limit(limit)))


def _past(start: ColumnElement[int], after: tuple[int, str], *, ascending: bool) -> ColumnElement[bool]:
    """Say that a run comes after a place; the first half is what an index can begin at."""
    beyond, within = (start > after[0], start >= after[0]) if ascending else (start < after[0], start <= after[0])
    return and_(within, or_(beyond, runs.c.run_id > after[1]))


def _own(key: str) -> ColumnElement[bool]:
    return and_(metric_series.c.run_id == runs.c.run_id, metric_series.c.key == key)
