"""The stores of tracking keep the promises of their ports on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest

from flyball.kernel.db import Database
from flyball.tracking.conformance import TrackingStoresConformance
from flyball.tracking.ports import TrackingStores
from flyball.tracking.sql import open_stores


class TestSqlTrackingStores(TrackingStoresConformance):
    @pytest.fixture
    def stores(self, database: Database) -> TrackingStores:
        return open_stores(database)
