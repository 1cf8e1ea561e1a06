"""The ports of monitoring: where the index of predictions, labels, windows, reports and alerts are kept.

All stores: any number of threads and processes; every verb joins the transaction that the calling thread is in; what is
returned is immutable.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from flyball.kernel.canonical import Digest
from flyball.monitoring.entities import (
    Alert,
    AlertKind,
    AlertState,
    PredictionKey,
    Segment,
    StoredLabel,
    Stream,
    Window,
    WindowReport,
)
from flyball.monitoring.label_columns import LabelColumns
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.stretches import Stretch


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Tumbling windows: one begins at `origin_ms`, the others every `window_ms` before and after it."""

    window_ms: int
    origin_ms: int

    def start_of(self, time_ms: int) -> int:
        """Return the start of the window that holds a moment.

        >>> Grid(window_ms=10, origin_ms=3).start_of(12)
        3
        """
        return time_ms - (time_ms - self.origin_ms) % self.window_ms


class PredictionStore(Protocol):
    """Keep which predictions exist, when, and in which segment.

    Batches of an endpoint, of predictions or of labels, are ordered by `arrive`: a transaction that has its number holds
    the endpoint until it ends, so whoever sees number n sees everything up to n.
    """

    def arrive(self, endpoint: str, *, watermark_ms: int | None) -> int:
        """Take the next arrival number of an endpoint, and raise its watermark if the given one is greater."""
        ...

    def find_stream(self, endpoint: str) -> Stream | None:
        """Return how far an endpoint has come, None before its first batch."""
        ...

    def find_keys(self, endpoint: str, prediction_ids: Collection[str]) -> list[PredictionKey]:
        """Return the index entries of those ids that are known, in no promised order."""
        ...

    def add_segment(self, segment: Segment, keys: Sequence[PredictionKey]) -> None:
        """Keep a segment and its index entries, none of which is known."""
        ...

    def segments(self, endpoint: str, *, start_ms: int, end_ms: int) -> list[Segment]:
        """Return the segments that hold a row of the span, in order of arrival."""
        ...

    def in_files(self, endpoint: str, digests: Collection[Digest]) -> list[Segment]:
        """Return all segments whose rows lie in these files, in order of arrival."""
        ...

    def first_beyond(self, endpoint: str, time_ms: int) -> int | None:
        """Return the first arrival that brought a row of a moment or later, None where there is none."""
        ...

    def find_segment(self, endpoint: str, prediction_id: str) -> Segment | None:
        """Return the segment that holds what the caller got under an id, None when the id is unknown."""
        ...

    def count(self, endpoint: str, *, start_ms: int, end_ms: int) -> int:
        """Count the answered predictions of a span, shadows left out."""
        ...

    def touched(self, endpoint: str, *, after: int, through: int, grid: Grid) -> list[int]:
        """Return the starts of the windows that batches after..through brought predictions for, ascending."""
        ...


class StretchStore(Protocol):
    """Keep what the rows of a span looked like, a stretch of arrivals at a time. All of it can be made again from the segments."""

    def list(self, endpoint: str, *, start_ms: int, end_ms: int) -> list[Stretch]:
        """Return the stretches of a span, in order of arrival: each begins where the one before ends."""
        ...

    def add(self, stretch: Stretch) -> None:
        """Keep the next stretch of its span.

        Raises:
            Conflict: somebody else kept the one that begins there.
        """
        ...

    def join(self, stretch: Stretch) -> None:
        """Keep a stretch in the place of all that lie within its arrivals."""
        ...

    def prune(self, endpoint: str, *, length_ms: int, keep: int) -> None:
        """Forget all but the last `keep` spans of a length."""
        ...


class SegmentStore(Protocol):
    """Note which segments lie in a file of their own, and which were merged. Each verb joins the transaction of its thread."""

    def endpoints(self, *, loose_before_ms: int, merged_before_ms: int) -> list[str]:
        """Return the endpoints with a segment that came before a moment and is not merged, or was merged before one and not freed."""
        ...

    def loose(self, endpoint: str, *, before_ms: int) -> list[Segment]:
        """Return the segments that came before a moment and are not merged, in order of arrival."""
        ...

    def merged(self, endpoint: str, *, before_ms: int) -> list[Segment]:
        """Return the segments that were merged before a moment and whose own bytes are not freed, in order of arrival."""
        ...

    def merge(self, endpoint: str, arrivals: Sequence[int], *, digest: Digest, now_ms: int) -> None:
        """Note that the rows of some segments lie in another file now.

        Raises:
            Conflict: one of them was merged already.
        """
        ...

    def is_named(self, digest: Digest) -> bool:
        """Tell whether a segment or a name of the artifact store needs a file."""
        ...

    def free(self, endpoint: str, arrival: int, *, now_ms: int) -> None:
        """Note that a segment's own bytes are gone."""
        ...


class LabelStore(Protocol):
    """Keep every revision of every label."""

    def find(self, endpoint: str, prediction_ids: Collection[str]) -> Mapping[str, StoredLabel]:
        """Return the newest revision of each id that has a label."""
        ...

    def add(self, endpoint: str, labels: Sequence[StoredLabel]) -> None:
        """Keep labels; each replaces the revision before it as the newest."""
        ...

    def within(self, endpoint: str, *, start_ms: int, end_ms: int) -> LabelColumns:
        """Return the newest label of each labelled prediction of a span of event time."""
        ...

    def count(self, endpoint: str, *, start_ms: int, end_ms: int) -> int:
        """Count the labelled predictions of a span of event time."""
        ...

    def touched(self, endpoint: str, *, after: int, through: int, grid: Grid) -> list[int]:
        """Return the starts of the windows that batches after..through brought labels for, ascending."""
        ...

    def history(self, endpoint: str, prediction_id: str) -> list[StoredLabel]:
        """Return all revisions of a label, oldest first."""
        ...


class MonitorStore(Protocol):
    """Keep monitors, their windows and the reports."""

    def put(self, monitor: Monitor, *, now_ms: int) -> None:
        """Keep a monitor, replacing the one of its name; how far that one had looked stays."""
        ...

    def find(self, name: str) -> Monitor | None:
        """Return a monitor, None when there is none."""
        ...

    def cursor(self, name: str) -> int:
        """Return up to which arrival a monitor has looked, 0 before its first look."""
        ...

    def advance(self, name: str, *, through: int) -> None:
        """Note that a monitor has looked up to an arrival; never goes back."""
        ...

    def windows(self, name: str, *, unfinished: bool) -> list[Window]:
        """Return a monitor's windows by start: those that are not mature, or all."""
        ...

    def find_window(self, name: str, start_ms: int) -> Window | None:
        """Return a window, None when nothing fell into it yet."""
        ...

    def put_window(self, window: Window) -> None:
        """Keep a window, replacing what was known of it."""
        ...

    def list(self) -> list[Monitor]:
        """Return all monitors by name."""
        ...


class ReportStore(Protocol):
    """Keep every revision of every window's report."""

    def add(self, report: WindowReport, *, digest: Digest, now_ms: int) -> None:
        """Keep a report.

        Raises:
            Conflict: the revision exists; somebody else evaluates this monitor at the same time.
        """
        ...

    def find(self, monitor: str, start_ms: int) -> WindowReport | None:
        """Return the newest report of a window, None when there is none."""
        ...

    def history(self, monitor: str, start_ms: int) -> list[WindowReport]:
        """Return all reports of a window, oldest first."""
        ...

    def newest(self, monitor: str, *, before_ms: int | None, limit: int) -> list[WindowReport]:
        """Return the newest report of each of the last `limit` windows that start before a moment, by start."""
        ...


class LossStore(Protocol):
    """Count the predictions that are not in the log."""

    def add(self, endpoint: str, rows: Mapping[str, int]) -> None:
        """Add rows that an endpoint lost, by reason."""
        ...


class AlertStore(Protocol):
    """Keep alerts; at most one active (not resolved) a monitor and kind."""

    def add(self, alert: Alert) -> None:
        """Keep a firing alert.

        Raises:
            Conflict: the monitor has an active one of this kind.
        """
        ...

    def find(self, alert_id: str) -> Alert | None:
        """Return an alert, None when there is none."""
        ...

    def find_active(self, monitor: str, kind: AlertKind) -> Alert | None:
        """Return the active alert of a monitor and kind, None when there is none."""
        ...

    def has_fired(self, monitor: str, kind: AlertKind, *, start_ms: int) -> bool:
        """Tell whether a window has ever had an alert of this kind."""
        ...

    def update(self, alert: Alert, *, expected: AlertState) -> None:
        """Replace an alert that is still in the expected state.

        Raises:
            Conflict: it is in another state meanwhile.
        """
        ...

    def list(
        self,
        *,
        monitor: str | None = None,
        states: Collection[AlertState] = (),
        kind: AlertKind | None = None,
        since_ms: int | None = None,
        before: str = "",
        limit: int | None = None,
    ) -> list[Alert]:
        """Return alerts, newest first; all of them where nothing is asked for.

        Args:
            monitor: of this monitor.
            states: in one of these states.
            kind: of this kind.
            since_ms: that were made since this moment, as their ids tell it.
            before: that are older than the one of this id.
            limit: so many at most.
        """
        ...
