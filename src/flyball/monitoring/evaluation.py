"""One look of a monitor: which windows changed, their reports, and the alerts that follow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from flyball.kernel.canonical import Digest, JsonValue, digest_json
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.events import Edge, EventLog, Ref, ref
from flyball.monitoring.alerting import Alerting
from flyball.monitoring.alerts.life import AlertLife
from flyball.monitoring.alerts.ports import Announcer, Unheard
from flyball.monitoring.calibration.ports import CalibrationStore
from flyball.monitoring.calibration.verbs import Yardsticks
from flyball.monitoring.codec import to_json
from flyball.monitoring.entities import (
    MonitoringEvent,
    Stream,
    Window,
    WindowReport,
    WindowState,
)
from flyball.monitoring.inputs import champion_of
from flyball.monitoring.judgement import judge_window
from flyball.monitoring.log import PredictionLog
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.online.chain import began_from, goes_on, hands_on_the_same, reach
from flyball.monitoring.ports import AlertStore, Grid, MonitorStore, ReportStore, StretchStore
from flyball.monitoring.references import Reference, References
from flyball.monitoring.schema import LABEL, PROBABILITIES, SCORE
from flyball.monitoring.traffic import Traffic

Fence = Callable[[], None]
"""Raises, inside the transaction that is about to write, when the caller may not write any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where a monitor keeps what it finds, and who hears of its alerts."""

    monitors: MonitorStore
    reports: ReportStore
    alerts: AlertStore
    stretches: StretchStore
    calibrations: CalibrationStore
    announcer: Announcer = field(default_factory=Unheard)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What one look knows before it visits its windows: the starts that new predictions and new labels fell into."""

    monitor: Monitor
    stream: Stream
    rows: Collection[int]
    labels: Collection[int]
    actor: str
    fence: Fence


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A report that is to be written: its window, and what was known of both before."""

    window: Window
    report: WindowReport
    known: Window | None
    before: WindowReport | None


class Evaluation:
    """Look at an endpoint's newest traffic; what was seen already is not read again.

    Each window is written in a transaction of its own: report, events and alerts together. How far the monitor has looked
    is noted last, so a look that was cut short is repeated, and finds its finished windows unchanged.
    """

    def __init__(
        self,
        stores: Stores,
        log: PredictionLog,
        *,
        references: References,
        events: EventLog,
        clock: Clock,
        database: Database,
    ) -> None:
        self._stores = stores
        self._log = log
        self._traffic = Traffic(log, stores.stretches)
        self._references = references
        self._events = events
        self._clock = clock
        self._database = database
        self._yardsticks = Yardsticks(stores.calibrations)
        life = AlertLife(stores.alerts, stores.announcer, events=events, clock=clock, database=database)
        self._alerting = Alerting(
            stores.reports, stores.alerts, life, announcer=stores.announcer, events=events, clock=clock
        )

    def look(self, monitor: Monitor, *, actor: str, fence: Fence) -> list[WindowReport]:
        """Visit every window that traffic or time has changed; return the reports that are new, by start."""
        stream = self._log.find_stream(monitor.endpoint)
        if stream is None:
            return []
        look = self._begin(monitor, stream, actor=actor, fence=fence)
        waiting = {window.start_ms for window in self._stores.monitors.windows(monitor.name, unfinished=True)}
        starts = sorted({*look.rows, *look.labels, *waiting})
        # A window may be reported twice: once because one before it changed, and once for itself.
        reports = {report.start_ms: report for start in starts for report in self._visit(look, start)}
        with self._database.transaction():
            fence()
            self._stores.monitors.advance(monitor.name, through=stream.arrivals)
        return [reports[start] for start in sorted(reports)]

    def _begin(self, monitor: Monitor, stream: Stream, *, actor: str, fence: Fence) -> _Look:
        grid = Grid(window_ms=monitor.window_ms, origin_ms=monitor.origin_ms)
        after, through = self._stores.monitors.cursor(monitor.name), stream.arrivals
        rows = self._log.predictions.touched(monitor.endpoint, after=after, through=through, grid=grid)
        labels = self._log.labels.touched(monitor.endpoint, after=after, through=through, grid=grid)
        return _Look(
            monitor=monitor, stream=stream, rows=frozenset(rows), labels=frozenset(labels), actor=actor, fence=fence
        )

    def _visit(self, look: _Look, start_ms: int) -> list[WindowReport]:
        known = self._stores.monitors.find_window(look.monitor.name, start_ms)
        window = self._observe(look, start_ms, known)
        if not _calls_for_report(look, window, known):
            if window.state is WindowState.OPEN:
                self._traffic.keep_up(look.monitor.endpoint, window)
            if window != known:
                self._keep(look, window)
            return []
        before = self._stores.reports.find(look.monitor.name, start_ms)
        earlier = self._earlier(look.monitor, start_ms)
        report = self._judge(look.monitor, replace(window, revision=window.revision + 1), earlier)
        if before is not None and replace(report, revision=before.revision) == before:
            self._keep(look, window)
            return []
        draft = _Draft(window=replace(window, revision=report.revision), report=report, known=known, before=before)
        drafts = [draft, *self._followers(look, draft, [*earlier, report])]
        with self._database.transaction():
            for one in drafts:
                self._write(look, one.window, one.report, known=one.known, before=one.before)
        return [one.report for one in drafts]

    def _earlier(self, monitor: Monitor, start_ms: int) -> list[WindowReport]:
        """Return the reports of the windows before, where something goes on from them."""
        if not monitor.goes_on:
            return []
        return self._stores.reports.newest(monitor.name, before_ms=start_ms, limit=reach(monitor))

    def _followers(self, look: _Look, draft: _Draft, earlier: list[WindowReport]) -> list[_Draft]:
        """Judge those later windows anew that began from something else than they would now.

        They are written together with the report that they follow: a look that was cut short leaves no window behind it that
        remembers what is no longer true.
        """
        monitor = look.monitor
        if not monitor.goes_on or hands_on_the_same(draft.before, draft.report):
            return []
        most = reach(monitor)
        newest = self._stores.reports.newest(monitor.name, before_ms=None, limit=most + 1)
        later = [report for report in newest if report.start_ms > draft.report.start_ms]
        drafts: list[_Draft] = []
        for before in later if len(later) <= most else []:
            report = before
            if before.version is not None and not began_from(earlier, before):
                known = self._stores.monitors.find_window(monitor.name, before.start_ms)
                window = self._observe(look, before.start_ms, known)
                window = replace(window, revision=window.revision + 1)
                report = self._judge(monitor, window, earlier)
                drafts.append(_Draft(window=window, report=report, known=known, before=before))
            earlier = [*earlier, report]
            if goes_on(report) and hands_on_the_same(before, report):
                break
        return drafts

    def _observe(self, look: _Look, start_ms: int, known: Window | None) -> Window:
        monitor, end_ms = look.monitor, start_ms + look.monitor.window_ms
        if known is None or start_ms in look.rows or start_ms in look.labels:
            rows = self._log.predictions.count(monitor.endpoint, start_ms=start_ms, end_ms=end_ms)
            labelled = self._log.labels.count(monitor.endpoint, start_ms=start_ms, end_ms=end_ms)
        else:
            rows, labelled = known.rows, known.labelled
        return Window(
            monitor=monitor.name,
            start_ms=start_ms,
            end_ms=end_ms,
            state=state_of(end_ms, look.stream.watermark_ms, monitor=monitor, covered=labelled >= rows > 0),
            rows=rows,
            labelled=labelled,
            revision=known.revision if known else 0,
        )

    def _keep(self, look: _Look, window: Window) -> None:
        with self._database.transaction():
            look.fence()
            self._stores.monitors.put_window(window)

    def _judge(self, monitor: Monitor, window: Window, earlier: Sequence[WindowReport]) -> WindowReport:
        mature = window.state is WindowState.MATURE
        seen = self._traffic.of(monitor.endpoint, window)
        if mature and seen is not None:
            seen = self._traffic.settled(monitor.endpoint, window, seen)
        version = None if seen is None else champion_of(seen)
        reference = Reference() if version is None else self._references.of(monitor.model, version)
        if version is not None and monitor.alarms.stated:
            reference = replace(reference, yardstick=self._yardsticks.of(monitor.name, version))
        # Before maturity the summary is enough, but for the error to expect of a row, which rests on its features, and for what
        # features show together.
        whole = mature or monitor.multivariate is not None
        columns = None if whole else (SCORE, PROBABILITIES, *reference.expects_by)
        table = self._log.read(monitor.endpoint, window.start_ms, window.end_ms, columns=columns)
        segments = self._log.segments(monitor.endpoint, window.start_ms, window.end_ms)
        sources = {"segments": str(digest_json([segment.identity for segment in segments]))}
        if mature:
            pairs = [table.column(name).to_pylist() for name in ("prediction_id", LABEL)]
            sources["labels"] = str(digest_json([list(pair) for pair in zip(*pairs, strict=True)]))
        return judge_window(
            table, window, monitor=monitor, reference=reference, sources=sources, seen=seen, earlier=earlier
        )

    def _write(
        self, look: _Look, window: Window, report: WindowReport, *, known: Window | None, before: WindowReport | None
    ) -> None:
        content = to_json(report)
        digest = digest_json(content)
        with self._database.transaction():
            look.fence()
            self._stores.reports.add(report, digest=digest, now_ms=self._clock.now_ms())
            self._stores.monitors.put_window(window)
            due = self._alerting.decide(look.monitor, report, before=before)
            self._record(look, report, digest=digest, known=known, before=before, silent=due.silent)
            self._alerting.fire(look.monitor, report, due, digest=digest, actor=look.actor)

    def _record(
        self,
        look: _Look,
        report: WindowReport,
        *,
        digest: Digest,
        known: Window | None,
        before: WindowReport | None,
        silent: Mapping[str, str],
    ) -> None:
        edges = _edges(look.monitor, report) if before is None or before.version != report.version else []
        payload: dict[str, JsonValue] = {
            "monitor": report.monitor,
            "start_ms": report.start_ms,
            "end_ms": report.end_ms,
            "revision": report.revision,
            "version": report.version,
            "rows": report.rows,
            "labelled": report.labelled,
            "labelled_before": before.labelled if before else 0,
            "concept": "unknown" if report.concept is None else str(report.concept.verdict),
            "data": str(report.data_verdict),
            "drifted": [drift.feature for drift in report.drifted],
            "drifted_together": [joint.subject for joint in report.drifted_together],
            "quality": None if report.quality is None else str(report.quality.verdict),
            "silent": silent,
            "report": digest,
        }
        was_open = known is None or known.state is WindowState.OPEN
        kinds = [MonitoringEvent.WINDOW_CLOSED] if was_open or report.state is WindowState.CLOSED else []
        kinds += [MonitoringEvent.WINDOW_MATURED] if report.state is WindowState.MATURE else []
        for place, kind in enumerate(kinds):
            self._events.record(
                kind, actor=look.actor, subject=report.ref, payload=payload, edges=edges if place == 0 else []
            )


def state_of(end_ms: int, watermark_ms: int, *, monitor: Monitor, covered: bool) -> WindowState:
    """Return the state of a window that ends at `end_ms`; `covered` says that every row has its label."""
    if watermark_ms < end_ms:
        return WindowState.OPEN
    if covered or watermark_ms >= end_ms + monitor.label_maturity_ms:
        return WindowState.MATURE
    return WindowState.CLOSED


def _calls_for_report(look: _Look, window: Window, known: Window | None) -> bool:
    if window.state is WindowState.OPEN:
        return False
    if known is None or known.revision == 0 or known.state is not window.state or window.start_ms in look.rows:
        return True
    # Labels that come between the end and maturity are waited for together; those that come later re-open the window.
    return window.state is WindowState.MATURE and window.start_ms in look.labels


def _edges(monitor: Monitor, report: WindowReport) -> list[Edge]:
    observed: list[Ref] = [ref("endpoint", monitor.endpoint)]
    observed += [ref("model-version", f"{monitor.model}/{version}") for version in report.versions]
    return [Edge(subject=report.ref, relation="observes", object=thing) for thing in observed]
