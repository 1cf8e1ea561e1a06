"""The port of webhooks: where they are kept, and the deliveries that wait beside them.

Any number of threads and processes; every verb joins the caller's transaction; what is returned is a copy.
"""

from __future__ import annotations

from typing import Protocol

from flyball.registry.webhooks.entities import Delivery, Occasion, Webhook


class WebhookStore(Protocol):
    """Keep webhooks."""

    def add(self, webhook: Webhook) -> None:
        """Keep a new webhook."""
        ...

    def find(self, webhook_id: str) -> Webhook | None:
        """Return a webhook, None when there is none."""
        ...

    def save(self, webhook: Webhook) -> None:
        """Replace everything but the id and the time of creation."""
        ...

    def remove(self, webhook_id: str) -> None:
        """Remove a webhook with the deliveries that wait for it."""
        ...

    def page(self, *, offset: int, limit: int) -> list[Webhook]:
        """Return webhooks, newest first."""
        ...

    def told_of(self, occasion: Occasion) -> list[Webhook]:
        """Return the active webhooks that are told of an occasion."""
        ...


class DeliveryStore(Protocol):
    """Keep what has to be delivered; a row is there until it was delivered or given up."""

    def add(self, delivery: Delivery) -> None:
        """Keep a new delivery."""
        ...

    def due(self, webhook_id: str, *, now_ms: int, limit: int) -> list[Delivery]:
        """Return the deliveries of a webhook whose time has come, oldest first."""
        ...

    def waiting(self, *, now_ms: int) -> list[str]:
        """Return the ids of the webhooks for which a delivery is due."""
        ...

    def postpone(self, delivery: Delivery) -> None:
        """Keep the attempts and the next time of a delivery."""
        ...

    def remove(self, delivery_id: str) -> None:
        """Forget a delivery that was made or given up; without effect when it is gone already."""
        ...

    def drop(self, webhook_id: str) -> int:
        """Forget every delivery of a webhook, and return how many there were."""
        ...
