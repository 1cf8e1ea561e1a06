"""The event stores keep the promises of their port."""

from __future__ import annotations

import pytest

from flyball.kernel.db import Database
from flyball.kernel.events.conformance import EventStoreConformance
from flyball.kernel.events.memory import MemoryEventStore
from flyball.kernel.events.sql import SqlEventStore


class TestMemoryEventStore(EventStoreConformance):
    @pytest.fixture
    def store(self) -> MemoryEventStore:
        return MemoryEventStore()


class TestSqlEventStore(EventStoreConformance):
    @pytest.fixture
    def store(self, database: Database) -> SqlEventStore:
        return SqlEventStore(database)
