"""The lease stores keep the promises of their port."""

from __future__ import annotations

import pytest

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.leases.conformance import LeaseStoreConformance
from flyball.kernel.leases.memory import MemoryLeaseStore
from flyball.kernel.leases.sql import SqlLeaseStore


class TestMemoryLeaseStore(LeaseStoreConformance):
    @pytest.fixture
    def store(self, clock: ManualClock) -> MemoryLeaseStore:
        return MemoryLeaseStore(clock)


class TestSqlLeaseStore(LeaseStoreConformance):
    @pytest.fixture
    def store(self, database: Database, clock: ManualClock) -> SqlLeaseStore:
        return SqlLeaseStore(database, clock)
