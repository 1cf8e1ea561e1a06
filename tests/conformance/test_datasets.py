"""The store of dataset versions keeps the promises of its port on both databases."""

from __future__ import annotations

import pytest

from flyball.datasets.conformance import DatasetStoreConformance
from flyball.datasets.sql import SqlDatasetStore
from flyball.kernel.db import Database


class TestSqlDatasetStore(DatasetStoreConformance):
    @pytest.fixture
    def store(self, database: Database) -> SqlDatasetStore:
        return SqlDatasetStore(database)
