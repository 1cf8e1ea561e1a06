"""Fire alerts: at most one active a monitor and kind, never twice for one window, never about a version that is gone.

And end those that are over, where the monitor's file leaves that to the monitor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flyball.kernel.canonical import Digest
from flyball.kernel.clock import Clock
from flyball.kernel.events import Edge, EventLog, ref
from flyball.kernel.ids import new_id
from flyball.monitoring.alerts.clearing import is_over
from flyball.monitoring.alerts.life import ACTIVE, AlertLife
from flyball.monitoring.alerts.ports import Announcer, Occasion
from flyball.monitoring.alerts.rules import ResolvedBy
from flyball.monitoring.codec import to_json
from flyball.monitoring.entities import Alert, AlertKind, AlertState, MonitoringEvent, WindowReport
from flyball.monitoring.findings import Finding, new_findings
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.ports import AlertStore, ReportStore

# How many windows beyond those that must be clear are read, for those among them that could not be judged.
MARGIN = 50
SUSPECTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Findings that become alerts, and, by kind, why others do not."""

    findings: tuple[Finding, ...]
    silent: Mapping[str, str]


class Alerting:
    """Turn the findings of a report into alerts."""

    def __init__(
        self,
        reports: ReportStore,
        alerts: AlertStore,
        life: AlertLife,
        *,
        announcer: Announcer,
        events: EventLog,
        clock: Clock,
    ) -> None:
        self._reports = reports
        self._alerts = alerts
        self._life = life
        self._announcer = announcer
        self._events = events
        self._clock = clock

    def decide(self, monitor: Monitor, report: WindowReport, *, before: WindowReport | None) -> Due:
        """Sort the news of a report into what is to fire and what is not; `before` is the report that it replaces."""
        earlier = self._reports.newest(
            monitor.name, before_ms=report.start_ms, limit=max(1, monitor.persist_windows - 1)
        )
        news = new_findings(report, before=before, earlier=earlier, persist=monitor.persist_windows)
        silent = {finding.kind: self._silence(report, finding.kind) for finding in news}
        return Due(
            findings=tuple(finding for finding in news if not silent[finding.kind]),
            silent={str(kind): reason for kind, reason in silent.items() if reason},
        )

    def fire(self, monitor: Monitor, report: WindowReport, due: Due, *, digest: Digest, actor: str) -> None:
        """Fire what is due and end what is over, inside the caller's transaction."""
        for finding in due.findings:
            self._fire(monitor, report, finding, digest=digest, actor=actor)
        if monitor.alerts.resolved_by is ResolvedBy.MONITOR:
            self._clear(monitor, actor=actor)

    def _clear(self, monitor: Monitor, *, actor: str) -> None:
        active = self._alerts.list(monitor=monitor.name, states=ACTIVE)
        if not active:
            return
        waiting = monitor.label_maturity_ms // monitor.window_ms
        limit = monitor.alerts.clear_windows + waiting + MARGIN
        reports = self._reports.newest(monitor.name, before_ms=None, limit=limit)
        for alert in active:
            if is_over(alert, reports, monitor.alerts):
                note = f"the last {monitor.alerts.clear_windows} windows that could be judged are clear of it"
                self._life.resolve(alert.id, actor=actor, note=note)

    def _silence(self, report: WindowReport, kind: AlertKind) -> str:
        active = self._alerts.find_active(report.monitor, kind)
        if active is not None:
            return f"alert {active.id} is {active.state} already"
        if self._alerts.has_fired(report.monitor, kind, start_ms=report.start_ms):
            return "this window had such an alert before"
        last = self._reports.newest(report.monitor, before_ms=None, limit=1)
        replaced = last[0].start_ms > report.start_ms and last[0].version != report.version
        if kind is not AlertKind.DATA_FAULT and replaced:
            return f"version {report.version} was replaced by version {last[0].version} since"
        return ""

    def _fire(self, monitor: Monitor, report: WindowReport, finding: Finding, *, digest: Digest, actor: str) -> None:
        now_ms = self._clock.now_ms()
        alert = Alert(
            id=new_id(),
            monitor=report.monitor,
            endpoint=monitor.endpoint,
            model=monitor.model,
            version=report.version,
            kind=finding.kind,
            state=AlertState.FIRING,
            start_ms=report.start_ms,
            end_ms=report.end_ms,
            causes=finding.causes,
            report_digest=digest,
            created_ms=now_ms,
            updated_ms=now_ms,
            ranked_by=report.attribution.basis,
        )
        self._alerts.add(alert)
        self._events.record(
            MonitoringEvent.ALERT_FIRED,
            actor=actor,
            subject=alert.ref,
            payload={
                "monitor": alert.monitor,
                "endpoint": alert.endpoint,
                "kind": str(alert.kind),
                "version": alert.version,
                "start_ms": alert.start_ms,
                "end_ms": alert.end_ms,
                "causes": to_json(alert.causes),
                "ranked_by": str(alert.ranked_by),
                "report": digest,
            },
            edges=_edges(alert, report),
        )
        self._announcer.announce(alert, Occasion.FIRING)


def _edges(alert: Alert, report: WindowReport) -> list[Edge]:
    features = dict.fromkeys(cause.feature for cause in alert.causes if cause.feature)
    suspects = [ref("feature", f"{alert.model}/{name}") for name in list(features)[:SUSPECTS]]
    about = Edge(subject=alert.ref, relation="about", object=report.ref)
    return [about, *(Edge(subject=alert.ref, relation="suspects", object=suspect) for suspect in suspects)]
