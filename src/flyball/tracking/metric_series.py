"""Read the metrics of several runs, and a long series thinned out."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from msgspec import structs

from flyball.tracking.access import is_run_id
from flyball.tracking.entities import Metric
from flyball.tracking.limits import MAX_RUN_NAME_LENGTH, check_text
from flyball.tracking.ports import MetricStore
from flyball.tracking.search import Place
from flyball.tracking.search.pages import AFTER, invalid_token

_NUMBER = re.compile(r"nan|-?(inf|\d+(\.\d+)?(e[+-]?\d+)?)")


class MetricSeries:
    """Questions over whole series. A run that is not there has no points: those who compare runs ask for many at once."""

    def __init__(self, metrics: MetricStore) -> None:
        self._metrics = metrics

    def of_runs(self, run_ids: Iterable[str], key: str, *, limit: int) -> list[Metric]:
        """Return the first points of a metric in order of run, time, step and value."""
        check_text(key, field="metric_key", limit=MAX_RUN_NAME_LENGTH)
        points: list[Metric] = []
        for run_id in sorted(set(filter(is_run_id, run_ids))):
            room = limit - len(points)
            if room <= 0:
                break
            points += _of_run(run_id, self._metrics.history(run_id, key, limit=room))
        return points

    def sample(self, run_id: str, key: str, *, limit: int, steps: tuple[int, int] | None = None) -> list[Metric]:
        """Return at most `limit` points, evenly spread over the series by their number, in order of step, time and value.

        `steps` narrows the series to those from the first to the second. The last point is always among them.
        """
        check_text(key, field="metric_key", limit=MAX_RUN_NAME_LENGTH)
        if not is_run_id(run_id):
            return []
        points = self._metrics.history(run_id, key, limit=None)
        if steps is not None:
            points = [point for point in points if steps[0] <= point.step <= steps[1]]
        ordered = sorted(points, key=_by_step)
        return _of_run(run_id, [ordered[at] for at in spread(len(ordered), limit)])


def spread(count: int, limit: int) -> Sequence[int]:
    """Return which of `count` things stand for all: the first of each of `limit` equal groups, and the last of all.

    >>> spread(10, 5), spread(3, 5), spread(10, 1)
    ([0, 2, 4, 6, 9], [0, 1, 2], [9])
    """
    if count <= limit:
        return list(range(count))
    size, larger = divmod(count, limit)
    firsts = [at * size + min(at, larger) for at in range(limit)]
    return [*firsts[:-1], count - 1]


def _of_run(run_id: str, points: Iterable[Metric]) -> list[Metric]:
    return [structs.replace(point, run_id=run_id) for point in points]


def _by_step(point: Metric) -> tuple[int, int, float, bool]:
    is_nan = math.isnan(point.value)
    return point.step, point.timestamp_ms, 0.0 if is_nan else point.value, is_nan


def history_place(last: Metric) -> Place:
    """Return the place after a point of a history."""
    return {AFTER: [last.timestamp_ms, last.step, repr(last.value)]}


def read_history_place(place: Place, key: str) -> tuple[Metric | None, int]:
    """Return the point that a page of a history begins after, None for the beginning, and how many points it leaves out there.

    Raises:
        InvalidInput: the place is none of a history.
    """
    offset = place.get("offset", 0)
    match place.get(AFTER):
        case None if isinstance(offset, int) and (not place or "offset" in place):
            return None, offset
        case [int(timestamp_ms), int(step), str(value)] if _NUMBER.fullmatch(value):
            return Metric(key=key, value=float(value), timestamp_ms=timestamp_ms, step=step), 0
    raise invalid_token()
