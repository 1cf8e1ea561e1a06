"""What the tests of the outbox stand on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.monitoring.sinks.conftest import Telling, build_telling

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database


@pytest.fixture
def telling(sqlite: Database, clock: ManualClock, tmp_path: Path) -> Telling:
    return build_telling(sqlite, clock, tmp_path)
