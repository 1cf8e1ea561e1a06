"""The life of an alert: firing, acknowledged, resolved; each step an event, and its end told to whoever heard of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict, NotFound
from flyball.kernel.events import EventLog
from flyball.monitoring.alerts.ports import Announcer, Occasion
from flyball.monitoring.entities import Alert, AlertState, MonitoringEvent
from flyball.monitoring.ports import AlertStore

ACTIVE = frozenset({AlertState.FIRING, AlertState.ACKNOWLEDGED})
_EVENTS = {
    AlertState.ACKNOWLEDGED: MonitoringEvent.ALERT_ACKNOWLEDGED,
    AlertState.RESOLVED: MonitoringEvent.ALERT_RESOLVED,
}


class AlertLife:
    """Moves alerts on, in the caller's transaction where there is one."""

    def __init__(
        self, alerts: AlertStore, announcer: Announcer, *, events: EventLog, clock: Clock, database: Database
    ) -> None:
        self._alerts = alerts
        self._announcer = announcer
        self._events = events
        self._clock = clock
        self._database = database

    def get(self, alert_id: str) -> Alert:
        """Return an alert.

        Raises:
            NotFound: there is none of this id.
        """
        alert = self._alerts.find(alert_id)
        if alert is None:
            raise NotFound(f"there is no alert '{alert_id}'", field="alert_id")
        return alert

    def acknowledge(self, alert_id: str, *, actor: str, note: str = "") -> Alert:
        """Say that somebody looks after a firing alert.

        Raises:
            NotFound: there is no such alert.
            Conflict: it is not firing.
        """
        return self._move(alert_id, AlertState.ACKNOWLEDGED, {AlertState.FIRING}, actor=actor, note=note)

    def resolve(self, alert_id: str, *, actor: str, note: str = "") -> Alert:
        """End an alert.

        Raises:
            NotFound: there is no such alert.
            Conflict: it is resolved already.
        """
        return self._move(alert_id, AlertState.RESOLVED, ACTIVE, actor=actor, note=note)

    def _move(
        self, alert_id: str, state: AlertState, allowed: Collection[AlertState], *, actor: str, note: str
    ) -> Alert:
        with self._database.transaction():
            alert = self.get(alert_id)
            if alert.state not in allowed:
                raise Conflict(f"alert {alert_id} is {alert.state}; it cannot become {state}", field="state")
            moved = replace(alert, state=state, updated_ms=self._clock.now_ms(), note=note or alert.note)
            self._alerts.update(moved, expected=alert.state)
            self._events.record(
                _EVENTS[state],
                actor=actor,
                subject=alert.ref,
                payload={"monitor": alert.monitor, "kind": str(alert.kind), "note": note},
            )
            if state is AlertState.RESOLVED:
                self._announcer.announce(moved, Occasion.RESOLVED)
        return moved
