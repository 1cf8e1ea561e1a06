"""Points of metrics on a database: every point kept, latest and extremes kept at write."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, insert, select, update

from flyball.kernel.db import Database
from flyball.tracking.entities import Metric
from flyball.tracking.sql.run_loading import number
from flyball.tracking.sql.statements import chunks
from flyball.tracking.tables import metric_points, metric_series

_SERIES = select(metric_series).where(
    metric_series.c.run_id == bindparam("run"), metric_series.c.key.in_(bindparam("keys", expanding=True))
)
_UPDATE_SERIES = update(metric_series).where(metric_series.c.series_id == bindparam("at"))
_INSERT_SERIES = insert(metric_series).returning(metric_series.c.key, metric_series.c.series_id)
# Sent through the driver, which takes a batch several times faster than the statements above it: this is where a million
# points pass.
_INSERT_POINTS = (
    "INSERT INTO metric_points (series_id, timestamp_ms, step, value, is_nan) "
    "VALUES ({mark}, {mark}, {mark}, {mark}, {mark}) ON CONFLICT DO NOTHING"
)
_MARKS = {"sqlite": "?", "postgresql": "%s"}


@dataclass(slots=True)
class _Series:
    """A metric of a run while points are being added."""

    latest: Metric
    minimum: float | None = None
    maximum: float | None = None
    changed: bool = True

    def take(self, point: Metric) -> None:
        """Fold one more point in."""
        if point.age > self.latest.age:
            self.latest, self.changed = point, True
        if math.isnan(point.value):
            return
        if self.minimum is None or point.value < self.minimum:
            self.minimum, self.changed = point.value, True
        if self.maximum is None or point.value > self.maximum:
            self.maximum, self.changed = point.value, True

    def row(self) -> dict[str, object]:
        return {
            **_value(self.latest),
            "step": self.latest.step,
            "timestamp_ms": self.latest.timestamp_ms,
            "minimum": self.minimum,
            "maximum": self.maximum,
        }


class SqlMetricStore:
    """Points as rows under the number of their series."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, run_id: str, metrics: Sequence[Metric]) -> None:
        with self._database.transaction() as connection:
            kept = _find_series(connection, run_id, sorted({metric.key for metric in metrics}))
            series = {row.key: _read(row) for row in kept}
            for metric in metrics:
                series.setdefault(metric.key, _Series(latest=metric)).take(metric)
            numbers = {row.key: row.series_id for row in kept}
            _update_series(connection, [(numbers[key], item) for key, item in series.items() if key in numbers])
            new = {key: item for key, item in series.items() if key not in numbers}
            numbers |= _insert_series(connection, run_id, new)
            points = [_point(numbers[metric.key], metric) for metric in metrics]
            connection.exec_driver_sql(_INSERT_POINTS.format(mark=_MARKS[self._database.dialect]), points)

    def history(self, run_id: str, key: str, *, offset: int, limit: int | None) -> list[Metric]:
        mine = and_(metric_series.c.run_id == run_id, metric_series.c.key == key)
        with self._database.read() as connection:
            series_id = connection.execute(select(metric_series.c.series_id).where(mine)).scalar()
            if series_id is None:
                return []
            points = metric_points.c
            query = select(metric_points).where(points.series_id == series_id)
            ordered = query.order_by(points.timestamp_ms, points.step, points.value, points.is_nan).offset(offset)
            return [
                Metric(key=key, value=number(row), timestamp_ms=row.timestamp_ms, step=row.step)
                for row in connection.execute(ordered if limit is None else ordered.limit(limit))
            ]


def _find_series(connection: Connection, run_id: str, keys: Sequence[str]) -> list[Row[Any]]:
    found: list[Row[Any]] = []
    for piece in chunks(keys):
        found += connection.execute(_SERIES, {"run": run_id, "keys": piece}).all()
    return found


def _update_series(connection: Connection, series: Sequence[tuple[int, _Series]]) -> None:
    rows = [{"at": series_id, **item.row()} for series_id, item in series if item.changed]
    if rows:
        connection.execute(_UPDATE_SERIES, rows)


def _insert_series(connection: Connection, run_id: str, series: Mapping[str, _Series]) -> dict[str, int]:
    if not series:
        return {}
    rows = [{"run_id": run_id, "key": key, **item.row()} for key, item in series.items()]
    made = connection.execute(_INSERT_SERIES, rows)
    return {row.key: row.series_id for row in made}


def _read(row: Row[Any]) -> _Series:
    latest = Metric(key=row.key, value=number(row), timestamp_ms=row.timestamp_ms, step=row.step)
    return _Series(latest=latest, minimum=row.minimum, maximum=row.maximum, changed=False)


def _point(series_id: int, metric: Metric) -> tuple[int, int, int, float, bool]:
    is_nan = math.isnan(metric.value)
    return series_id, metric.timestamp_ms, metric.step, 0.0 if is_nan else metric.value, is_nan


def _value(metric: Metric) -> dict[str, object]:
    is_nan = math.isnan(metric.value)
    return {"value": 0.0 if is_nan else metric.value, "is_nan": is_nan}
