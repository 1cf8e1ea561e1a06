"""The stores of webhooks keep their promises on both databases."""

from __future__ import annotations

import pytest

from flyball.kernel.db import Database
from flyball.registry.webhooks.conformance import WebhookStoresConformance
from flyball.registry.webhooks.management import WebhookStores
from flyball.registry.webhooks.sql import SqlDeliveryStore, SqlWebhookStore


class TestSqlWebhookStores(WebhookStoresConformance):
    @pytest.fixture
    def stores(self, database: Database) -> WebhookStores:
        return WebhookStores(webhooks=SqlWebhookStore(database), deliveries=SqlDeliveryStore(database))
