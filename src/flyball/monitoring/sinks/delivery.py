"""Deliver what waits: at least once, tried again with growing pauses, held back under a silence, given up at last with an event.

What a delivery says is decided at each attempt, from the alerts as they are by then: nobody is told of what is over. A process
that dies between an answer and its record delivers the same again, under the same key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.delivery import pause_ms
from flyball.kernel.errors import FlyballError, InvalidInput, MissingExtra, NotFound, PermissionDenied
from flyball.kernel.events import EventLog
from flyball.kernel.ids import new_id
from flyball.monitoring.alerts.ports import Occasion
from flyball.monitoring.alerts.silences import Silences, silence_of
from flyball.monitoring.entities import Alert, AlertState, MonitoringEvent
from flyball.monitoring.ports import AlertStore
from flyball.monitoring.sinks.document import OpenSink, open_sink
from flyball.monitoring.sinks.entities import Delivery, DeliveryState, Notice
from flyball.monitoring.sinks.outbox import Routing
from flyball.monitoring.sinks.ports import DeliveryStore, Outside

ACTOR = "service:alerts"
# One turn for a sink ends here, so that one with a long queue does not keep the others waiting.
AT_ONCE = 20
REASON_CHARACTERS = 300
# A receiver that forgets is reminded this many times before it would.
REMINDERS_IN_HOLD = 4

Fence = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """A delivery that is about to be tried, and what it says."""

    delivery: Delivery
    target: OpenSink
    notice: Notice


class Deliverer:
    """Sends deliveries. Safe to share between threads; the caller holds a lease a sink."""

    def __init__(
        self,
        routing: Routing,
        deliveries: DeliveryStore,
        *,
        alerts: AlertStore,
        silences: Silences,
        outside: Outside,
        events: EventLog,
        clock: Clock,
        database: Database,
        attempts: int,
        server_url: str,
    ) -> None:
        self._routing = routing
        self._deliveries = deliveries
        self._alerts = alerts
        self._silences = silences
        self._outside = outside
        self._events = events
        self._clock = clock
        self._database = database
        self._attempts = attempts
        self._server_url = server_url

    def waiting(self) -> list[str]:
        """Return the sinks for which something is due."""
        return self._deliveries.waiting(now_ms=self._clock.now_ms())

    def deliver(self, sink: str, *, fence: Fence) -> int:
        """Try what is due for one sink, oldest first, and return how much was looked at."""
        due = self._deliveries.due(sink, now_ms=self._clock.now_ms(), limit=AT_ONCE)
        for delivery in due:
            try:
                attempt = self._begin(delivery, fence=fence)
            except (InvalidInput, PermissionDenied, NotFound, MissingExtra) as error:
                # The document was checked where it was set; this process has other extras, or may go to fewer places.
                tried = replace(delivery, attempts=delivery.attempts + 1)
                self._conclude(tried, f"refused: {error.message}", repeat_ms=0, fence=fence)
                continue
            if attempt is not None:
                reason = _reason_against(attempt)
                self._conclude(attempt.delivery, reason, repeat_ms=_repeat_ms(attempt), fence=fence)
        return len(due)

    def _begin(self, delivery: Delivery, *, fence: Fence) -> _Attempt | None:
        """Note the attempt before it is made, and decide what it says; None when there is nothing to say now."""
        with self._database.transaction():
            fence()
            entry = self._routing.read().find(delivery.sink)
            if entry is None:
                self._finish(delivery, "the sink was taken out of the document")
                return None
            # First, so that whoever adds to it meanwhile finds it taken, and what was added before is seen.
            begun = self._changed(delivery, attempts=delivery.attempts + 1, due_ms=self._next_ms(delivery))
            self._deliveries.save(begun)
            target = open_sink(entry, self._outside)
            told = self._told(delivery, target)
            if not told:
                return None
            notice = Notice(
                key=delivery.key, occasion=delivery.occasion, alerts=tuple(told), server_url=self._server_url
            )
            return _Attempt(delivery=begun, target=target, notice=notice)

    def _told(self, delivery: Delivery, target: OpenSink) -> list[Alert]:
        """Return the alerts that are told now. What is silenced is held back, what is over is left out."""
        alerts = [alert for each in self._deliveries.alerts(delivery.id) if (alert := self._alerts.find(each))]
        if delivery.occasion is Occasion.RESOLVED:
            return alerts
        live = [alert for alert in alerts if _is_worth_telling(alert, delivery, target)]
        if not live:
            self._finish(delivery, "it was over before it was told")
            return []
        active = self._silences.active()
        held = {alert.id: silence for alert in live if (silence := silence_of(alert, active)) is not None}
        told = [alert for alert in live if alert.id not in held]
        if held:
            until_ms = min(silence.end_ms for silence in held.values())
            self._hold(delivery, list(held), until_ms=until_ms, all_of_it=not told)
        return told

    def _hold(self, delivery: Delivery, alerts: list[str], *, until_ms: int, all_of_it: bool) -> None:
        if delivery.round > 0 and not all_of_it:  # a reminder of the others; these are in it again next time
            return
        if all_of_it:
            state = delivery.state if delivery.round else DeliveryState.SILENCED
            self._deliveries.save(self._changed(delivery, state=state, due_ms=until_ms))
            return
        self._deliveries.leave(delivery.id, alerts)
        apart = self._changed(delivery, id=new_id(), state=DeliveryState.SILENCED, attempts=0, due_ms=until_ms)
        self._deliveries.add(apart, alerts)

    def _conclude(self, delivery: Delivery, reason: str, *, repeat_ms: int, fence: Fence) -> None:
        now_ms = self._clock.now_ms()
        with self._database.transaction():
            fence()
            if not reason:
                again_ms = now_ms + repeat_ms if repeat_ms and delivery.occasion is Occasion.FIRING else None
                told = self._changed(delivery, state=DeliveryState.DELIVERED, due_ms=again_ms, reason="")
                # The next time is a reminder: with a key and with attempts of its own.
                after = replace(told, round=told.round + 1, attempts=0) if again_ms is not None else told
                self._deliveries.save(after)
                if delivery.round == 0:
                    self._record(MonitoringEvent.ALERT_TOLD, delivery)
                return
            tried = self._changed(delivery, reason=reason[:REASON_CHARACTERS])
            if tried.attempts < self._attempts:
                waits = DeliveryState.WAITING if delivery.round == 0 else delivery.state
                self._deliveries.save(replace(tried, state=waits, due_ms=now_ms + pause_ms(tried.attempts)))
                return
            left = replace(tried, state=DeliveryState.GIVEN_UP, due_ms=None)
            if repeat_ms and delivery.occasion is Occasion.FIRING:  # the next reminder is another chance
                left = replace(left, round=left.round + 1, attempts=0, due_ms=now_ms + repeat_ms)
            self._deliveries.save(left)
            self._record(MonitoringEvent.ALERT_TELLING_GIVEN_UP, tried)

    def _finish(self, delivery: Delivery, reason: str) -> None:
        state = delivery.state if delivery.round else DeliveryState.OBSOLETE
        self._deliveries.save(self._changed(delivery, state=state, due_ms=None, reason=reason))

    def _changed(self, delivery: Delivery, **changes: object) -> Delivery:
        return replace(delivery, updated_ms=self._clock.now_ms(), **changes)  # type: ignore[arg-type]

    def _next_ms(self, delivery: Delivery) -> int:
        return self._clock.now_ms() + pause_ms(delivery.attempts + 1)

    def _record(self, kind: MonitoringEvent, delivery: Delivery) -> None:
        alerts = self._deliveries.alerts(delivery.id)
        self._events.record(
            kind,
            actor=ACTOR,
            subject=delivery.ref,
            payload={
                "sink": delivery.sink,
                "occasion": delivery.occasion.value,
                "alerts": list(alerts),
                "attempts": delivery.attempts,
                "reason": delivery.reason,
            },
        )


def _is_worth_telling(alert: Alert, delivery: Delivery, target: OpenSink) -> bool:
    if alert.state is AlertState.RESOLVED:
        return False
    # Who acknowledged it needs no reminder; a receiver that forgets does.
    return alert.state is AlertState.FIRING or delivery.round == 0 or target.sink.hold_ms > 0


def _repeat_ms(attempt: _Attempt) -> int:
    hold_ms = attempt.target.sink.hold_ms
    return hold_ms // REMINDERS_IN_HOLD if hold_ms else attempt.target.entry.repeat_ms


def _reason_against(attempt: _Attempt) -> str:
    """Send, and return why it counts as not delivered; empty when it was."""
    try:
        attempt.target.sink.send(attempt.notice)
    except (PermissionDenied, InvalidInput) as error:
        return f"refused: {error.message}"
    except FlyballError as error:
        return error.message
    return ""
