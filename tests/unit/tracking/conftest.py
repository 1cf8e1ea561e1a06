"""A real tracking room on SQLite; what depends on the database is in the conformance tests."""

from __future__ import annotations

import pytest

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.events import EventLog
from flyball.kernel.events.sql import SqlEventStore
from flyball.tracking.entities import RunId
from flyball.tracking.service import Tracking, open_tracking

OWNER = "user:owner"


@pytest.fixture
def events(sqlite: Database, clock: ManualClock) -> EventLog:
    return EventLog(SqlEventStore(sqlite), clock)


@pytest.fixture
def tracking(sqlite: Database, events: EventLog, clock: ManualClock) -> Tracking:
    return open_tracking(sqlite, events=events, clock=clock)


@pytest.fixture
def run_id(tracking: Tracking) -> RunId:
    return tracking.runs.create("0", name="first", actor=OWNER).info.run_id
