"""Curves of metrics: the extremes of each block of points kept at write, and a long series drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from flyball.kernel.db import run_text
from flyball.tracking.curve import Curve, CurvePoint, thin
from flyball.tracking.entities import Metric
from flyball.tracking.sql.statements import insert_rows

# Points to a block. Drawing a million points reads 7,813 blocks; a block costs each write one row more at most.
BLOCK = 128

_EXTREMES = ", ".join(
    f"{name} = CASE WHEN excluded.{end} {sign} metric_blocks.{end} THEN excluded.{name} ELSE metric_blocks.{name} END"
    for end, sign in (("low", "<"), ("high", ">"))
    for name in (end, f"{end}_step", f"{end}_ms")
)
_FOLD = (
    "INSERT INTO metric_blocks (series_id, block, low, low_step, low_ms, high, high_step, high_ms) VALUES {rows} "
    "ON CONFLICT (series_id, block) DO UPDATE SET {extremes}"
).replace("{extremes}", _EXTREMES)
_SERIES = "SELECT series_id, point_count FROM metric_series WHERE run_id = ? AND key = ?"
_POINTS = "SELECT step, timestamp_ms, value FROM metric_points WHERE series_id = ? AND NOT is_nan"
_BLOCKS = "SELECT low_step, low_ms, low, high_step, high_ms, high FROM metric_blocks WHERE series_id = ? ORDER BY block"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Points that were added to a series which had `before` points."""

    series_id: int
    before: int
    points: Sequence[Metric]


def add_blocks(connection: Connection, added: Sequence[Blocks]) -> None:
    """Fold points into the blocks that they fall in, by the order in which they came."""
    insert_rows(connection, _FOLD, [row for item in added for row in _rows(item)])


def _rows(added: Blocks) -> list[tuple[object, ...]]:
    extremes: dict[int, tuple[Metric, Metric]] = {}
    for at, point in enumerate(added.points, start=added.before):
        value = point.value
        if value != value:  # noqa: PLR0124 -- NaN has no place on a curve
            continue
        kept = extremes.get(at // BLOCK)
        if kept is None:
            extremes[at // BLOCK] = point, point
        elif value < kept[0].value:
            extremes[at // BLOCK] = point, kept[1]
        elif value > kept[1].value:
            extremes[at // BLOCK] = kept[0], point
    return [
        (added.series_id, block, low.value, low.step, low.timestamp_ms, high.value, high.step, high.timestamp_ms)
        for block, (low, high) in extremes.items()
    ]


def draw(connection: Connection, run_id: str, key: str, *, points: int) -> Curve | None:
    """Return the curve of a metric in at most so many points, None where the run has no such metric."""
    series = run_text(connection, _SERIES, [run_id, key]).fetchone()
    if series is None:
        return None
    series_id, count = series
    # Two points of each block: with fewer blocks than that a curve would have gaps that the points fill.
    from_blocks = count > points * BLOCK // 2
    found = _from_blocks(connection, series_id) if from_blocks else _from_points(connection, series_id)
    return Curve(key=key, count=count, points=thin(found, points))


def _from_points(connection: Connection, series_id: int) -> list[CurvePoint]:
    rows = run_text(connection, _POINTS, [series_id]).fetchall()
    return [CurvePoint(step=step, timestamp_ms=ms, value=value) for step, ms, value in rows]


def _from_blocks(connection: Connection, series_id: int) -> list[CurvePoint]:
    found: list[CurvePoint] = []
    for low_step, low_ms, low, high_step, high_ms, high in run_text(connection, _BLOCKS, [series_id]).fetchall():
        found.append(CurvePoint(step=low_step, timestamp_ms=low_ms, value=low))
        if (low_step, low_ms) != (high_step, high_ms):
            found.append(CurvePoint(step=high_step, timestamp_ms=high_ms, value=high))
    return found
