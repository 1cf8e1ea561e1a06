"""Finished deliveries are not kept for ever: they are removed by their age, with an event."""

from __future__ import annotations

from collections.abc import Callable

from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.events import EventLog, ref
from flyball.monitoring.entities import MonitoringEvent
from flyball.monitoring.sinks.delivery import ACTOR
from flyball.monitoring.sinks.ports import DeliveryRecord

# One transaction removes so many at most.
AT_ONCE = 1_000


class Pruning:
    """Removes deliveries that ended longer ago than `keep_ms`; 0 keeps them for ever. The caller holds a lease."""

    def __init__(
        self, record: DeliveryRecord, *, keep_ms: int, events: EventLog, clock: Clock, database: Database
    ) -> None:
        self._record = record
        self._keep_ms = keep_ms
        self._events = events
        self._clock = clock
        self._database = database

    def remove_old(self, *, fence: Callable[[], None]) -> int:
        """Remove the oldest thousand of what is too old, and return how many that were."""
        if not self._keep_ms:
            return 0
        before_ms = self._clock.now_ms() - self._keep_ms
        with self._database.transaction():
            fence()
            removed = self._record.remove_ended(before_ms=before_ms, limit=AT_ONCE)
            if removed:
                self._events.record(
                    MonitoringEvent.ALERT_DELIVERIES_REMOVED,
                    actor=ACTOR,
                    subject=ref("alert-sinks", "all"),
                    payload={"removed": removed, "before_ms": before_ms},
                )
        return removed
