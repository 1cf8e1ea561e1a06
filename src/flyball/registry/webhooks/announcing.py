"""Put what happened into the outbox, in the transaction in which it happened: told if it was kept, and only then."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from flyball.kernel.canonical import JsonValue
from flyball.kernel.clock import Clock
from flyball.kernel.ids import new_id
from flyball.registry.webhooks.entities import Delivery, Notice
from flyball.registry.webhooks.ports import DeliveryStore, WebhookStore


class Announcer(Protocol):
    """Hear of something that happens, inside the transaction in which it does."""

    def announce(self, notice: Notice) -> None:
        """Tell whoever asked to be told."""
        ...


class Outbox:
    """Writes a delivery for each webhook that is told of the occasion."""

    def __init__(self, webhooks: WebhookStore, deliveries: DeliveryStore, *, clock: Clock) -> None:
        self._webhooks = webhooks
        self._deliveries = deliveries
        self._clock = clock

    def announce(self, notice: Notice) -> None:
        """Keep a delivery for each; none is made before the transaction is committed."""
        told = self._webhooks.told_of(notice.occasion)
        if not told:
            return
        now_ms = self._clock.now_ms()
        body = body_of(notice, now_ms=now_ms)
        for webhook in told:
            self._deliveries.add(
                Delivery(
                    id=delivery_id(),
                    webhook_id=webhook.id,
                    occasion=notice.occasion,
                    body=body,
                    due_ms=now_ms,
                    created_ms=now_ms,
                )
            )


def delivery_id() -> str:
    """Make an id as receivers expect it; a later one sorts after an earlier one, so that deliveries keep their order."""
    return str(uuid.UUID(hex=new_id()))


def body_of(notice: Notice, *, now_ms: int) -> str:
    """Write the body that receivers of the protocol know."""
    content: Mapping[str, JsonValue] = {
        "entity": notice.occasion.entity,
        "action": notice.occasion.action,
        "timestamp": datetime.fromtimestamp(now_ms / 1000, tz=UTC).isoformat(),
        "data": dict(notice.data),
    }
    return json.dumps(content)
