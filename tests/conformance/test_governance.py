"""The stores of governance keep the promises of their ports, on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest

from flyball.governance.conformance import AccessStoreConformance, ApprovalStoreConformance
from flyball.governance.sql import SqlAccessStore, SqlApprovalStore
from flyball.kernel.db import Database


class TestSqlAccessStore(AccessStoreConformance):
    @pytest.fixture
    def store(self, database: Database) -> SqlAccessStore:
        return SqlAccessStore(database)


class TestSqlApprovalStore(ApprovalStoreConformance):
    @pytest.fixture
    def store(self, database: Database) -> SqlApprovalStore:
        return SqlApprovalStore(database)
