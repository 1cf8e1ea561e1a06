"""Predictions that were answered and are not in the log: an event each time it is told, and an alert until somebody looks."""

from __future__ import annotations

from collections.abc import Mapping

from flyball.kernel.canonical import JsonValue, digest_json
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.events import Edge, EventLog, ref
from flyball.kernel.ids import new_id
from flyball.monitoring.alerts.ports import Announcer, Occasion, Unheard
from flyball.monitoring.entities import Alert, AlertKind, AlertState, Cause, MonitoringEvent
from flyball.monitoring.ports import AlertStore, LossStore

WATCHER = "capture"
"""In an alert's place for a monitor: nobody set it, every endpoint has it."""


class Losses:
    """Take reports of losses. Safe to share between threads."""

    def __init__(
        self,
        alerts: AlertStore,
        counts: LossStore,
        *,
        events: EventLog,
        clock: Clock,
        database: Database,
        announcer: Announcer | None = None,
    ) -> None:
        self._alerts = alerts
        self._counts = counts
        self._announcer = announcer or Unheard()
        self._events = events
        self._clock = clock
        self._database = database

    def report(self, endpoint: str, model: str, rows: Mapping[str, int], *, actor: str) -> Alert:
        """Record that rows of an endpoint are lost, by reason; return the alert that is active about it, a new one if there was none."""
        now_ms = self._clock.now_ms()
        payload: dict[str, JsonValue] = {"endpoint": endpoint, "rows": dict(sorted(rows.items())), "time_ms": now_ms}
        with self._database.transaction():
            self._counts.add(endpoint, rows)
            self._events.record(
                MonitoringEvent.PREDICTIONS_LOST, actor=actor, subject=ref("endpoint", endpoint), payload=payload
            )
            active = self._alerts.find_active(f"{WATCHER}/{endpoint}", AlertKind.CAPTURE_LOSS)
            return active or self._fire(endpoint, model, rows, payload=payload, actor=actor)

    def _fire(
        self, endpoint: str, model: str, rows: Mapping[str, int], *, payload: dict[str, JsonValue], actor: str
    ) -> Alert:
        now_ms = self._clock.now_ms()
        causes = [
            Cause(
                feature="", kind=reason, score=float(count), detail=f"{count} predictions are not in the log: {reason}"
            )
            for reason, count in sorted(rows.items(), key=lambda pair: (-pair[1], pair[0]))
        ]
        alert = Alert(
            id=new_id(),
            monitor=f"{WATCHER}/{endpoint}",
            endpoint=endpoint,
            model=model,
            version=None,
            kind=AlertKind.CAPTURE_LOSS,
            state=AlertState.FIRING,
            start_ms=now_ms,
            end_ms=now_ms,
            causes=tuple(causes),
            report_digest=digest_json(payload),
            created_ms=now_ms,
            updated_ms=now_ms,
        )
        self._alerts.add(alert)
        said: dict[str, JsonValue] = {
            "monitor": alert.monitor,
            "endpoint": endpoint,
            "kind": str(alert.kind),
            "version": None,
            "start_ms": now_ms,
            "end_ms": now_ms,
            "causes": [cause.text for cause in causes],
            "report": alert.report_digest,
        }
        about = Edge(subject=alert.ref, relation="about", object=ref("endpoint", endpoint))
        self._events.record(MonitoringEvent.ALERT_FIRED, actor=actor, subject=alert.ref, payload=said, edges=[about])
        self._announcer.announce(alert, Occasion.FIRING)
        return alert
