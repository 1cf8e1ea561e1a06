"""A stage with version 1 in production, and one where nothing is yet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.retraining.stage import Stage

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database


@pytest.fixture
def empty_stage(sqlite: Database, tmp_path: Path, clock: ManualClock) -> Iterator[Stage]:
    """Open a platform on SQLite whose newest schema the fixture `sqlite` has made."""
    with contextlib.closing(Stage(tmp_path, str(sqlite.engine.url), clock)) as stage:
        stage.prepare()
        yield stage


@pytest.fixture
def stage(empty_stage: Stage) -> Stage:
    """Return a platform with version 1 in charge."""
    empty_stage.put_in_charge()
    return empty_stage
