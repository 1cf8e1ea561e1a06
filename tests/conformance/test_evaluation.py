"""The stores of evaluation datasets keep their promises on both databases."""

from __future__ import annotations

import pytest

from flyball.kernel.db import Database
from flyball.tracking.evaluation.conformance import EvaluationStoresConformance
from flyball.tracking.evaluation.sql import SqlEvaluationRecordStore, SqlEvaluationStore


class TestSqlEvaluationStores(EvaluationStoresConformance):
    @pytest.fixture
    def datasets(self, database: Database) -> SqlEvaluationStore:
        return SqlEvaluationStore(database)

    @pytest.fixture
    def records(self, database: Database) -> SqlEvaluationRecordStore:
        return SqlEvaluationRecordStore(database)
