"""Deliver what waits: signed, at least once, tried again with growing pauses, and given up at last with an event.

A process that dies between an answer and its record delivers the same notice again, under the same id: receivers that must not
act twice remember the ids.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.delivery import pause_ms, signature
from flyball.kernel.egress import Egress, Reply
from flyball.kernel.errors import FlyballError, InvalidInput, NotFound, PermissionDenied
from flyball.kernel.events import EventLog, ref
from flyball.registry.webhooks.announcing import body_of, delivery_id
from flyball.registry.webhooks.entities import Delivery, Occasion, Webhook, WebhookEvent
from flyball.registry.webhooks.management import Webhooks, WebhookStores
from flyball.registry.webhooks.notices import example

SIGNATURE_HEADER = "X-MLflow-Signature"
TIMESTAMP_HEADER = "X-MLflow-Timestamp"
DELIVERY_ID_HEADER = "X-MLflow-Delivery-Id"
ACTOR = "service:webhooks"
# One turn for a webhook ends here, so that one with a long queue does not keep the others waiting.
AT_ONCE = 20
REASON_CHARACTERS = 300
_OK = range(200, 300)
# A trial counts as well where a redirect is answered: the protocol says so.
_OK_IN_TRIAL = range(400)

Fence = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of trying a webhook out."""

    success: bool
    status: int | None = None
    body: str | None = None
    error: str | None = None


class Deliverer:
    """Sends deliveries. Safe to share between threads; the caller holds a lease a webhook."""

    def __init__(
        self,
        stores: WebhookStores,
        webhooks: Webhooks,
        *,
        egress: Egress,
        events: EventLog,
        clock: Clock,
        database: Database,
        attempts: int,
    ) -> None:
        self._deliveries = stores.deliveries
        self._webhooks = webhooks
        self._egress = egress
        self._events = events
        self._clock = clock
        self._database = database
        self._attempts = attempts

    def waiting(self) -> list[str]:
        """Return the webhooks for which something is due."""
        return self._deliveries.waiting(now_ms=self._clock.now_ms())

    def deliver(self, webhook_id: str, *, fence: Fence) -> int:
        """Try what is due for one webhook, oldest first, and return how much was tried."""
        due = self._deliveries.due(webhook_id, now_ms=self._clock.now_ms(), limit=AT_ONCE)
        for delivery in due:
            try:
                webhook = self._webhooks.get(webhook_id)
            except NotFound:  # removed meanwhile, with what waited for it
                break
            self._conclude(webhook, delivery, self._reason_against(webhook, delivery), fence=fence)
        return len(due)

    def try_out(self, webhook_id: str, occasion: Occasion | None = None) -> Trial:
        """Send a made-up notice now, and tell what was answered.

        Raises:
            NotFound: there is no such webhook.
        """
        webhook = self._webhooks.get(webhook_id)
        now_ms = self._clock.now_ms()
        notice = example(occasion or webhook.occasions[0])
        delivery = Delivery(
            id=delivery_id(),
            webhook_id=webhook.id,
            occasion=notice.occasion,
            body=body_of(notice, now_ms=now_ms),
            due_ms=now_ms,
            created_ms=now_ms,
        )
        try:
            reply = self._send(webhook, delivery)
        except FlyballError as error:
            return Trial(success=False, error=f"Failed to test webhook: {error.message}")
        body = reply.body.decode(errors="replace")
        return Trial(success=reply.status in _OK_IN_TRIAL, status=reply.status, body=body)

    def _send(self, webhook: Webhook, delivery: Delivery) -> Reply:
        moment = str(self._clock.now_ms() // 1000)
        headers = {
            "Content-Type": "application/json",
            DELIVERY_ID_HEADER: delivery.id,
            TIMESTAMP_HEADER: moment,
        }
        if webhook.secret:
            headers[SIGNATURE_HEADER] = signature(webhook.secret, delivery.id, moment=moment, body=delivery.body)
        return self._egress.post(webhook.url, delivery.body.encode(), headers)

    def _reason_against(self, webhook: Webhook, delivery: Delivery) -> str:
        """Send, and return why it counts as not delivered; empty when it was."""
        try:
            reply = self._send(webhook, delivery)
        except (PermissionDenied, InvalidInput) as error:
            return f"refused: {error.message}"
        except FlyballError as error:
            return error.message
        return "" if reply.status in _OK else f"the receiver answered {reply.status}"

    def _conclude(self, webhook: Webhook, delivery: Delivery, reason: str, *, fence: Fence) -> None:
        tried = dataclasses.replace(delivery, attempts=delivery.attempts + 1)
        with self._database.transaction():
            fence()
            if reason and tried.attempts < self._attempts:
                due_ms = self._clock.now_ms() + pause_ms(tried.attempts)
                self._deliveries.postpone(dataclasses.replace(tried, due_ms=due_ms))
                return
            self._deliveries.remove(delivery.id)
            if reason:
                self._give_up(webhook, tried, reason)

    def _give_up(self, webhook: Webhook, delivery: Delivery, reason: str) -> None:
        self._events.record(
            WebhookEvent.GIVEN_UP,
            actor=ACTOR,
            subject=ref("webhook", webhook.id),
            payload={
                "delivery": delivery.id,
                "occasion": delivery.occasion.value,
                "attempts": delivery.attempts,
                "reason": reason[:REASON_CHARACTERS],
            },
        )
