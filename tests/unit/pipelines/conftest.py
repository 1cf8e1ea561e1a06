"""A project with its service."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.pipelines.building import Project, build_project

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database


@pytest.fixture
def project(tmp_path: Path, sqlite: Database, clock: ManualClock) -> Project:
    return build_project(tmp_path, sqlite, clock)
