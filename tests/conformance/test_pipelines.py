from __future__ import annotations

import pytest

from flyball.kernel.db import Database
from flyball.pipelines.conformance import PipelineStoreConformance
from flyball.pipelines.sql import SqlPipelineStore


class TestSqlPipelineStore(PipelineStoreConformance):
    @pytest.fixture
    def store(self, database: Database) -> SqlPipelineStore:
        return SqlPipelineStore(database)
