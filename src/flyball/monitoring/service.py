"""The verbs of monitors: set them, let them look, read what they found, and handle their alerts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa

from flyball.deployment.entities import Endpoint, EndpointState
from flyball.kernel.canonical import digest_json
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict, NotFound
from flyball.kernel.events import EventLog, ref
from flyball.monitoring.alerts.life import AlertLife
from flyball.monitoring.backtest.histories import LogHistory
from flyball.monitoring.backtest.replay import Stretch, backtest, judged_span
from flyball.monitoring.backtest.results import Backtest, Incident
from flyball.monitoring.calibration.due import calibrate_when_due
from flyball.monitoring.calibration.verbs import Calibrations
from flyball.monitoring.codec import to_json
from flyball.monitoring.entities import Alert, AlertKind, AlertState, MonitoringEvent, Window, WindowReport, WindowState
from flyball.monitoring.evaluation import Evaluation, Fence, Stores
from flyball.monitoring.log import PredictionLog
from flyball.monitoring.moments import check_moment
from flyball.monitoring.monitor import Monitor, parse_monitor
from flyball.monitoring.references import References
from flyball.monitoring.slicing import check_columns
from flyball.monitoring.stages import Hearer, unheard

ALL_WINDOWS = 1_000_000
LOOKING_ACTOR = "service:monitors"
"""Who looks when nobody in particular asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a monitor has looked, in event time; -1 where there is nothing yet.

    `closed_through_ms` and `matured_through_ms` are the ends of the last windows of which this and all before are so.
    """

    watermark_ms: int
    closed_through_ms: int
    matured_through_ms: int


InputsReader: TypeAlias = Callable[[str, str], Mapping[str, pa.DataType]]
"""From an endpoint and its model to the features that it will serve, with their types; nothing where nobody knows."""


def nothing_known(endpoint: str, model: str) -> Mapping[str, pa.DataType]:
    """Say nothing of what an endpoint will serve."""
    del endpoint, model
    return {}


def no_fence() -> None:
    """Let every writer write: for a process that is alone."""


class Monitors:
    """Monitors as the rooms use them. Let only one process look for a monitor at a time (a lease, given as the fence)."""

    def __init__(
        self,
        stores: Stores,
        log: PredictionLog,
        *,
        references: References,
        events: EventLog,
        clock: Clock,
        database: Database,
        inputs: InputsReader = nothing_known,
    ) -> None:
        self._inputs = inputs
        self._stores = stores
        self._log = log
        self._events = events
        self._clock = clock
        self._database = database
        self._references = references
        self._calibrations = Calibrations(
            stores.calibrations, log, references=references, events=events, clock=clock, database=database
        )
        self._life = AlertLife(stores.alerts, stores.announcer, events=events, clock=clock, database=database)
        self._evaluation = Evaluation(stores, log, references=references, events=events, clock=clock, database=database)

    def put(self, config: Mapping[str, object] | str, *, actor: str) -> Monitor:
        """Set a monitor from a mapping or from YAML text; the same content again changes nothing.

        Raises:
            UnknownKey: a key no monitor has.
            InvalidInput: a missing key, a wrong type, a value out of its range, or a slice, group or detector of no feature that is
                served.
            Conflict: the monitor exists and watches another endpoint or model, or in other windows.
        """
        monitor = parse_monitor(config)
        if monitor.slices.named or monitor.groups or monitor.online:
            served = self._log.feature_types(monitor.endpoint) or self._inputs(monitor.endpoint, monitor.model)
            check_columns(monitor, served)
        with self._database.transaction():
            known = self._stores.monitors.find(monitor.name)
            if known == monitor:
                return monitor
            _refuse_other_windows(monitor, known)
            self._stores.monitors.put(monitor, now_ms=self._clock.now_ms())
            self._events.record(
                MonitoringEvent.MONITOR_SET,
                actor=actor,
                subject=ref("monitor", monitor.name),
                payload={"monitor": monitor.to_json(), "digest": digest_json(to_json(monitor))},
            )
        return monitor

    def get(self, name: str) -> Monitor:
        """Return a monitor.

        Raises:
            NotFound: there is none of this name.
        """
        monitor = self._stores.monitors.find(name)
        if monitor is None:
            known = ", ".join(known.name for known in self.list()) or "none"
            raise NotFound(f"there is no monitor '{name}'; known: {known}", field="monitor")
        return monitor

    def evaluate(self, name: str, *, actor: str = LOOKING_ACTOR, fence: Fence = no_fence) -> list[WindowReport]:
        """Look at what is new, and return the reports of windows that closed, matured or changed since the last look.

        Raises:
            NotFound: there is no such monitor.
            LeaseLost: the fence says so; windows before this one are kept.
            Conflict: somebody else looks for this monitor at the same time.
        """
        monitor = self.get(name)
        calibrate_when_due(self._calibrations, self._stores, monitor, actor=actor, fence=fence)
        return self._evaluation.look(monitor, actor=actor, fence=fence)

    def backtest(
        self,
        document: str,
        *,
        against: str | None = None,
        reference_until_ms: int | None = None,
        incidents: Sequence[Incident] = (),
        heard: Hearer = unheard,
    ) -> Backtest:
        """Replay a monitor's file over its endpoint's log, and another one too; nothing is kept.

        Raises:
            InvalidInput: a file that is none, or nothing to replay.
        """
        draft = parse_monitor(document)
        return backtest(
            draft,
            LogHistory(log=self._log, references=self._references, endpoint=draft.endpoint),
            current=None if against is None else parse_monitor(against),
            stretch=Stretch(reference_until_ms=check_moment(reference_until_ms, field="reference_until_ms")),
            incidents=incidents,
            heard=heard,
        )

    def check_backtest(self, document: str, against: str | None, *, reference_until_ms: int | None) -> None:
        """Say at once what would keep a file from being replayed.

        Raises:
            InvalidInput: as `backtest`.
        """
        draft = parse_monitor(document)
        history = LogHistory(log=self._log, references=self._references, endpoint=draft.endpoint)
        stretch = Stretch(reference_until_ms=check_moment(reference_until_ms, field="reference_until_ms"))
        for monitor in (draft, *(() if against is None else (parse_monitor(against),))):
            judged_span(monitor, history, stretch)

    @property
    def calibrations(self) -> Calibrations:
        """What the alarms of monitors rest on."""
        return self._calibrations

    def has_work(self, name: str) -> bool:
        """Tell whether predictions or labels have arrived that the monitor has not looked at yet."""
        monitor = self.get(name)
        stream = self._log.find_stream(monitor.endpoint)
        return stream is not None and self._stores.monitors.cursor(name) < stream.arrivals

    def progress(self, name: str) -> Progress:
        """Return how far a monitor has looked."""
        monitor = self.get(name)
        stream = self._log.find_stream(monitor.endpoint)
        windows = self._stores.monitors.windows(name, unfinished=False)
        return Progress(
            watermark_ms=stream.watermark_ms if stream else -1,
            closed_through_ms=_through(windows, {WindowState.CLOSED, WindowState.MATURE}),
            matured_through_ms=_through(windows, {WindowState.MATURE}),
        )

    def windows(self, name: str) -> list[Window]:
        """Return the windows that hold traffic, by start; a window without traffic does not exist."""
        return self._stores.monitors.windows(self.get(name).name, unfinished=False)

    def reports(self, name: str, *, limit: int = ALL_WINDOWS) -> list[WindowReport]:
        """Return the newest report of each of the last `limit` windows, by start."""
        return self._stores.reports.newest(self.get(name).name, before_ms=None, limit=limit)

    def report(self, name: str, start_ms: int) -> WindowReport:
        """Return the newest report of a window.

        Raises:
            NotFound: there is no such monitor, or no report of such a window.
        """
        report = self.find_report(self.get(name).name, start_ms)
        if report is None:
            raise _no_window(name, start_ms)
        return report

    def find_report(self, name: str, start_ms: int) -> WindowReport | None:
        """Return the newest report of a window, None when there is none (or no such monitor)."""
        return self._stores.reports.find(name, start_ms)

    def report_history(self, name: str, start_ms: int) -> list[WindowReport]:
        """Return all reports of a window, oldest first.

        Raises:
            NotFound: there is no such monitor, or no report of such a window.
        """
        found = self._stores.reports.history(self.get(name).name, start_ms)
        if not found:
            raise _no_window(name, start_ms)
        return found

    def alerts(
        self,
        *,
        monitor: str | None = None,
        states: Collection[AlertState] = (),
        kind: AlertKind | None = None,
        since_ms: int | None = None,
        before: str = "",
        limit: int | None = None,
    ) -> list[Alert]:
        """Return alerts, newest first; all of them where nothing is asked for (see `AlertStore.list`)."""
        return self._stores.alerts.list(
            monitor=monitor, states=states, kind=kind, since_ms=since_ms, before=before, limit=limit
        )

    def alert(self, alert_id: str) -> Alert:
        """Return an alert.

        Raises:
            NotFound: there is none of this id.
        """
        return self._life.get(alert_id)

    def acknowledge(self, alert_id: str, *, actor: str, note: str = "") -> Alert:
        """Say that somebody looks after a firing alert.

        Raises:
            NotFound: there is no such alert.
            Conflict: it is not firing.
        """
        return self._life.acknowledge(alert_id, actor=actor, note=note)

    def resolve(self, alert_id: str, *, actor: str, note: str = "") -> Alert:
        """End an alert; from now on the monitor may fire for this kind again.

        Raises:
            NotFound: there is no such alert.
            Conflict: it is resolved already.
        """
        return self._life.resolve(alert_id, actor=actor, note=note)

    def list(self) -> list[Monitor]:
        """Return all monitors by name."""
        return self._stores.monitors.list()

    def unmonitored(self, endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
        """Return those of the endpoints that answer with a model that no monitor watches there."""
        watched = {(one.endpoint, one.model) for one in self._stores.monitors.list()}
        answering = (one for one in endpoints if one.state is EndpointState.ACTIVE)
        return tuple(one for one in answering if (one.name, one.model) not in watched)


def _no_window(monitor: str, start_ms: int) -> NotFound:
    return NotFound(f"monitor '{monitor}' has reported no window that starts at {start_ms}", field="start_ms")


def _refuse_other_windows(monitor: Monitor, known: Monitor | None) -> None:
    if known is None:
        return
    for field in ("endpoint", "model", "window_ms", "origin_ms"):
        if getattr(monitor, field) != getattr(known, field):
            name = field.removesuffix("_ms") if field == "window_ms" else field
            raise Conflict(
                f"monitor '{monitor.name}' has {name} {getattr(known, name)}, which its reports rest on; "
                "give a monitor that differs in this another name",
                field=name,
            )


def _through(windows: Collection[Window], states: Collection[WindowState]) -> int:
    end = -1
    for window in windows:
        if window.state not in states:
            break
        end = window.end_ms
    return end
