"""Curves: a long series of points made short for drawing, with its extremes kept."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from flyball.kernel.errors import InvalidInput

MIN_POINTS = 4
MAX_POINTS = 20_000


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A point of a curve; `value` is never NaN."""

    step: int
    timestamp_ms: int
    value: float


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of a run, drawn: `count` points in all, of which these are shown."""

    key: str
    count: int
    points: tuple[CurvePoint, ...]


def check_points(points: int) -> int:
    """Accept how many points a curve may have.

    Raises:
        InvalidInput: too few to keep the extremes, or too many.
    """
    if not MIN_POINTS <= points <= MAX_POINTS:
        raise InvalidInput(f"'points' must lie between {MIN_POINTS} and {MAX_POINTS}, not {points}", field="points")
    return points


def thin(points: Sequence[CurvePoint], limit: int) -> tuple[CurvePoint, ...]:
    """Return at most `limit` points in order of step and time: the least and the greatest of each stretch.

    Stretches hold equally many points, so that a curve logged at uneven steps keeps its shape; the first and the last point
    of all stay. (The min-max aggregation of Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", 2014.)

    >>> [p.step for p in thin([CurvePoint(step=s, timestamp_ms=0, value=float(s % 7)) for s in range(100)], 6)]
    [0, 6, 49, 55, 99]
    """
    ordered = sorted(points, key=lambda point: (point.step, point.timestamp_ms))
    if len(ordered) <= limit:
        return tuple(ordered)
    stretches = (limit - 2) // 2
    kept = [ordered[0], ordered[-1]]
    for at in range(stretches):
        stretch = ordered[at * len(ordered) // stretches : (at + 1) * len(ordered) // stretches]
        kept += [min(stretch, key=_value), max(stretch, key=_value)]
    seen = {(point.step, point.timestamp_ms, point.value): point for point in kept}
    return tuple(sorted(seen.values(), key=lambda point: (point.step, point.timestamp_ms)))


def _value(point: CurvePoint) -> float:
    return point.value
