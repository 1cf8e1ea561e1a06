"""The registry's stores keep the promises of their ports on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest

from flyball.kernel.db import Database
from flyball.registry import RegistryStores
from flyball.registry.conformance import DecisionStoreConformance, RegistryStoresConformance
from flyball.registry.sql import SqlDecisionStore, open_stores


class TestSqlRegistryStores(RegistryStoresConformance):
    @pytest.fixture
    def stores(self, database: Database) -> RegistryStores:
        return open_stores(database)


class TestSqlDecisionStore(DecisionStoreConformance):
    @pytest.fixture
    def decisions(self, database: Database) -> SqlDecisionStore:
        return SqlDecisionStore(database)
