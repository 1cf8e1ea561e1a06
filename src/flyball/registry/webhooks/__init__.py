"""Webhooks: what happens in the registry, told to addresses outside, at least once, signed."""

from flyball.registry.webhooks.announcing import Announcer
from flyball.registry.webhooks.entities import Delivery, Occasion, Webhook, WebhookStatus
from flyball.registry.webhooks.management import Webhooks

__all__ = ["Announcer", "Delivery", "Occasion", "Webhook", "WebhookStatus", "Webhooks"]
