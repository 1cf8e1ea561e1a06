"""The promises of the webhooks' stores, for every implementation."""

from __future__ import annotations

import dataclasses

import pytest

from flyball.registry.webhooks.entities import Delivery, Occasion, Webhook, WebhookStatus
from flyball.registry.webhooks.management import WebhookStores

MADE, TAGGED = Occasion.MODEL_VERSION_CREATED, Occasion.MODEL_VERSION_TAG_SET


def webhook(webhook_id: str = "a", *, created_ms: int = 1, **changes: object) -> Webhook:
    """Make a webhook."""
    made = Webhook(
        id=webhook_id,
        name="chat",
        url="https://hooks.example.com/h",
        occasions=(MADE,),
        secret="s",  # noqa: S106 -- a value to find again
        created_ms=created_ms,
        updated_ms=created_ms,
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def delivery(delivery_id: str, webhook_id: str = "a", *, due_ms: int = 0, created_ms: int = 0) -> Delivery:
    """Make a delivery."""
    return Delivery(
        id=delivery_id, webhook_id=webhook_id, occasion=MADE, body="{}", due_ms=due_ms, created_ms=created_ms
    )


class WebhookStoresConformance:
    """Derive, and give a fixture `stores`."""

    @pytest.fixture
    def stores(self) -> WebhookStores:
        raise AssertionError("override this fixture")

    def test_a_webhook_is_kept_changed_and_removed(self, stores: WebhookStores) -> None:
        stores.webhooks.add(webhook())
        assert stores.webhooks.find("a") == webhook()
        changed = webhook(occasions=(TAGGED, MADE), status=WebhookStatus.DISABLED, secret="", updated_ms=9)
        stores.webhooks.save(changed)
        assert stores.webhooks.find("a") == changed
        stores.webhooks.remove("a")
        assert stores.webhooks.find("a") is None

    def test_webhooks_come_newest_first_in_pages(self, stores: WebhookStores) -> None:
        for at, name in enumerate("abc"):
            stores.webhooks.add(webhook(name, created_ms=at))
        assert [each.id for each in stores.webhooks.page(offset=0, limit=2)] == ["c", "b"]
        assert [each.id for each in stores.webhooks.page(offset=2, limit=2)] == ["a"]

    def test_active_webhooks_are_found_by_what_they_are_told_of(self, stores: WebhookStores) -> None:
        stores.webhooks.add(webhook("a", occasions=(MADE, TAGGED)))
        stores.webhooks.add(webhook("b", created_ms=2))
        stores.webhooks.add(webhook("c", status=WebhookStatus.DISABLED))
        assert [each.id for each in stores.webhooks.told_of(MADE)] == ["a", "b"]
        assert [each.id for each in stores.webhooks.told_of(TAGGED)] == ["a"]
        assert stores.webhooks.told_of(Occasion.PROMPT_CREATED) == []

    def test_deliveries_wait_until_they_are_due_oldest_first(self, stores: WebhookStores) -> None:
        for name in "ab":
            stores.webhooks.add(webhook(name))
        first, second, later = (
            delivery("2", created_ms=1),
            delivery("1", created_ms=2, due_ms=5),
            delivery("3", "b", due_ms=9),
        )
        for each in (later, second, first):
            stores.deliveries.add(each)
        assert stores.deliveries.due("a", now_ms=5, limit=9) == [first, second]
        assert stores.deliveries.due("a", now_ms=5, limit=1) == [first]
        assert stores.deliveries.due("a", now_ms=4, limit=9) == [first]
        assert stores.deliveries.waiting(now_ms=8) == ["a"]
        assert stores.deliveries.waiting(now_ms=9) == ["a", "b"]

    def test_a_delivery_is_postponed_with_its_attempts(self, stores: WebhookStores) -> None:
        stores.webhooks.add(webhook())
        stores.deliveries.add(delivery("1"))
        tried = dataclasses.replace(delivery("1"), attempts=3, due_ms=7)
        stores.deliveries.postpone(tried)
        assert stores.deliveries.due("a", now_ms=6, limit=9) == []
        assert stores.deliveries.due("a", now_ms=7, limit=9) == [tried]

    def test_deliveries_go_with_their_webhook_or_alone(self, stores: WebhookStores) -> None:
        for name in "abc":
            stores.webhooks.add(webhook(name))
            stores.deliveries.add(delivery(name, name))
        stores.deliveries.remove("a")
        stores.deliveries.remove("absent")
        stores.webhooks.remove("b")
        assert stores.deliveries.waiting(now_ms=0) == ["c"]
        assert (stores.deliveries.drop("c"), stores.deliveries.drop("c")) == (1, 0)
