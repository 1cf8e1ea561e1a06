"""What the rows of a window looked like: summarised once, a stretch of arrivals at a time, and merged whenever it is asked for."""

from __future__ import annotations

import pyarrow.compute as pc

from flyball.kernel.errors import Conflict
from flyball.monitoring.entities import Window
from flyball.monitoring.inputs import summarise_traffic
from flyball.monitoring.log import PredictionLog
from flyball.monitoring.ports import StretchStore
from flyball.monitoring.segments import ARRIVAL
from flyball.monitoring.stretches import Stretch
from flyball.monitoring.summaries import TableSummary, merge_summaries, points_for
from flyball.monitoring.summary_codec import pack, unpack

# A share of a stretch is off by about 1/2,048; up to as many rows everything is exact.
POINTS = 1 << 11
# An open window's rows are summarised when there are this many new ones, and they are an eighth of those before: a window has
# a few dozen stretches whatever its traffic.
FEWEST_ROWS = 8_192
NEW_SHARE = 1 / 8
# Windows of a length whose summaries are kept; a late row in an older one has it summarised again.
KEPT_WINDOWS = 100
# Somebody else may summarise the same stretch at the same moment; then theirs is taken.
ATTEMPTS = 5


class Traffic:
    """Summaries of windows. What is kept is made from the log alone: it may be lost at any moment, and is then made again."""

    def __init__(self, log: PredictionLog, stretches: StretchStore) -> None:
        self._log = log
        self._stretches = stretches

    def keep_up(self, endpoint: str, window: Window) -> None:
        """Summarise what came for an open window, where it is worth it."""
        known = self._list(endpoint, window)
        covered = sum(one.rows for one in known)
        if window.rows - covered >= max(FEWEST_ROWS, covered * NEW_SHARE):
            self._extend(endpoint, window, known)

    def of(self, endpoint: str, window: Window) -> TableSummary | None:
        """Return the summary of all rows of a window that have arrived, None where there is none."""
        for _ in range(ATTEMPTS):
            known = self._list(endpoint, window)
            try:
                known = self._extend(endpoint, window, known)
            except Conflict:
                continue
            return merge_summaries([unpack(one.content) for one in known]) if known else None
        raise Conflict(f"the traffic of '{endpoint}' is summarised by too many at once", field="endpoint")

    def settled(self, endpoint: str, window: Window, seen: TableSummary) -> TableSummary:
        """Keep a finished window as one stretch, forget windows that are long over, and return the summary as it is kept."""
        known = self._list(endpoint, window)
        if len(known) > 1 and seen.rows == sum(one.rows for one in known):
            whole = _stretch(endpoint, window, seen, after=known[0].after, through=known[-1].through)
            self._stretches.join(whole)
            seen = unpack(whole.content)
        self._stretches.prune(endpoint, length_ms=window.end_ms - window.start_ms, keep=KEPT_WINDOWS)
        return seen

    def _list(self, endpoint: str, window: Window) -> list[Stretch]:
        return self._stretches.list(endpoint, start_ms=window.start_ms, end_ms=window.end_ms)

    def _extend(self, endpoint: str, window: Window, known: list[Stretch]) -> list[Stretch]:
        stream = self._log.find_stream(endpoint)
        after = known[-1].through if known else 0
        if stream is None or stream.arrivals <= after:
            return known
        table = self._log.arrived(endpoint, window.start_ms, window.end_ms, after=after, through=stream.arrivals)
        if not table.num_rows:
            return known
        # Late is what came after traffic had reached the end of the next window.
        length = window.end_ms - window.start_ms
        beyond = self._log.predictions.first_beyond(endpoint, window.end_ms + length)
        late = 0 if beyond is None else int(pc.sum(pc.greater(table.column(ARRIVAL), beyond)).as_py() or 0)
        seen = summarise_traffic(table, points=points_for(table.num_columns, most=POINTS), late=late)
        stretch = _stretch(endpoint, window, seen, after=after, through=stream.arrivals)
        self._stretches.add(stretch)
        return [*known, stretch]


def _stretch(endpoint: str, window: Window, seen: TableSummary, *, after: int, through: int) -> Stretch:
    columns = len(seen.columns)
    return Stretch(
        endpoint=endpoint,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        after=after,
        through=through,
        rows=seen.rows,
        content=pack(seen.limited(points_for(columns, most=POINTS))),
    )
