"""The store of deployment keeps its promises on both databases."""

from __future__ import annotations

import pytest

from flyball.deployment.conformance import DeploymentStoreConformance
from flyball.deployment.sql import SqlDeploymentStore
from flyball.kernel.db import Database


class TestSqlDeploymentStore(DeploymentStoreConformance):
    @pytest.fixture
    def store(self, database: Database) -> SqlDeploymentStore:
        return SqlDeploymentStore(database)
