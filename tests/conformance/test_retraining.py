"""The store of requests keeps its promises on both databases."""

from __future__ import annotations

import pytest

from flyball.kernel.db import Database
from flyball.retraining.conformance import RequestStoreConformance
from flyball.retraining.sql import SqlRequestStore


class TestSqlRequestStore(RequestStoreConformance):
    @pytest.fixture
    def store(self, database: Database) -> SqlRequestStore:
        return SqlRequestStore(database)
