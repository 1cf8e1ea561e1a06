"""Points of metrics on a database: every point kept; latest, extremes and the blocks of a curve kept at write."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from flyball.kernel.db import Database, run_text
from flyball.tracking.curve import Curve
from flyball.tracking.entities import Metric, RunInfo
from flyball.tracking.sql.curves import Blocks, add_blocks, draw
from flyball.tracking.sql.statements import insert_rows, value_rows

_LATER = (
    "(excluded.step, excluded.timestamp_ms, NOT excluded.is_nan, excluded.value)"
    " > (metric_series.step, metric_series.timestamp_ms, NOT metric_series.is_nan, metric_series.value)"
)
_LATEST = ", ".join(
    f"{name} = CASE WHEN {_LATER} THEN excluded.{name} ELSE metric_series.{name} END"
    for name in ("value", "is_nan", "step", "timestamp_ms")
)
# One statement for all series of a batch: it makes those that are new, and folds the points into those that are there.
_FOLD = (
    "INSERT INTO metric_series (run_id, experiment_id, key, value, is_nan, step, timestamp_ms, minimum, maximum, point_count) "
    "VALUES {rows} ON CONFLICT (run_id, key) DO UPDATE SET "
    "{latest}, point_count = metric_series.point_count + excluded.point_count, "
    "minimum = CASE WHEN excluded.minimum < metric_series.minimum OR metric_series.minimum IS NULL "
    "THEN excluded.minimum ELSE metric_series.minimum END, "
    "maximum = CASE WHEN excluded.maximum > metric_series.maximum OR metric_series.maximum IS NULL "
    "THEN excluded.maximum ELSE metric_series.maximum END "
    "RETURNING run_id, key, series_id, point_count"
).replace("{latest}", _LATEST)
_POINTS = (
    "INSERT INTO metric_points (series_id, timestamp_ms, step, value, is_nan) VALUES {rows} ON CONFLICT DO NOTHING"
)

_HISTORY = (
    "SELECT timestamp_ms, step, value, is_nan FROM metric_points WHERE series_id = ? {past}"
    "ORDER BY timestamp_ms, step, value, is_nan LIMIT ? OFFSET ?"
)
_PAST = "AND (timestamp_ms, step, value, is_nan) > (?, ?, ?, ?) "


class _Series:
    """The points of one metric of one run in a batch, in short."""

    __slots__ = ("latest", "maximum", "minimum", "points")

    def __init__(self, first: Metric) -> None:
        self.latest = first
        self.minimum: float | None = None
        self.maximum: float | None = None
        self.points: list[Metric] = []

    def take(self, point: Metric) -> None:
        """Fold one more point in."""
        self.points.append(point)
        latest, value = self.latest, point.value
        if point is not latest and point.step >= latest.step and point.age > latest.age:
            self.latest = point
        if value != value:  # noqa: PLR0124 -- NaN, told without a call: a million points pass here
            return
        if self.minimum is None or value < self.minimum:
            self.minimum = value
        if self.maximum is None or value > self.maximum:
            self.maximum = value

    def row(self, info: RunInfo) -> tuple[object, ...]:
        latest = self.latest
        is_nan = math.isnan(latest.value)
        value = 0.0 if is_nan else latest.value
        count = len(self.points)
        extremes = (self.minimum, self.maximum)
        place = (info.run_id, int(info.experiment_id), latest.key)
        return (*place, value, is_nan, latest.step, latest.timestamp_ms, *extremes, count)


class SqlMetricStore:
    """Points as rows under the number of their series."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, logged: Iterable[tuple[RunInfo, Sequence[Metric]]]) -> None:
        infos: dict[str, RunInfo] = {}
        series: dict[tuple[str, str], _Series] = {}
        for info, metrics in logged:
            infos[info.run_id] = info
            for metric in metrics:
                at = (info.run_id, metric.key)
                kept = series.get(at)
                if kept is None:
                    kept = series[at] = _Series(metric)
                kept.take(metric)
        rows = [kept.row(infos[run_id]) for (run_id, _), kept in series.items()]
        with self._database.transaction() as connection:
            points: list[tuple[object, ...]] = []
            blocks: list[Blocks] = []
            for run_id, key, series_id, count in value_rows(connection, _FOLD, rows):
                kept = series[run_id, key]
                points += [_row(series_id, point) for point in kept.points]
                blocks.append(Blocks(series_id=series_id, before=count - len(kept.points), points=kept.points))
            insert_rows(connection, _POINTS, points)
            add_blocks(connection, blocks)

    def history(
        self, run_id: str, key: str, *, after: Metric | None = None, offset: int = 0, limit: int | None
    ) -> list[Metric]:
        with self._database.read() as connection:
            series_id = _find(connection, run_id, key)
            if series_id is None:
                return []
            past: list[object] = [] if after is None else list(_row(series_id, after)[1:])
            statement = _HISTORY.replace("{past}", "" if after is None else _PAST)
            limits = [2**62 if limit is None else limit, offset]
            found = run_text(connection, statement, [series_id, *past, *limits]).fetchall()
        return [
            Metric(key=key, value=math.nan if is_nan else value, timestamp_ms=timestamp_ms, step=step)
            for timestamp_ms, step, value, is_nan in found
        ]

    def draw(self, run_id: str, key: str, *, points: int) -> Curve | None:
        with self._database.read() as connection:
            return draw(connection, run_id, key, points=points)


def _find(connection: Connection, run_id: str, key: str) -> int | None:
    found = run_text(connection, "SELECT series_id FROM metric_series WHERE run_id = ? AND key = ?", [run_id, key])
    row = found.fetchone()
    return None if row is None else int(row[0])


def _row(series_id: int, metric: Metric) -> tuple[int, int, int, float, bool]:
    value = metric.value
    if value != value:  # noqa: PLR0124 -- NaN, which SQLite would keep as NULL
        return series_id, metric.timestamp_ms, metric.step, 0.0, True
    return series_id, metric.timestamp_ms, metric.step, value, False
