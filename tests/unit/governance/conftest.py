"""The services of governance on a fresh database."""

from __future__ import annotations

import pytest

from flyball.governance.access import OWNER, Access
from flyball.governance.approvals import Approvals
from flyball.governance.sql import SqlAccessStore, SqlApprovalStore
from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.events import EventLog
from flyball.kernel.events.sql import SqlEventStore


@pytest.fixture
def events(sqlite: Database, clock: ManualClock) -> EventLog:
    return EventLog(SqlEventStore(sqlite), clock)


@pytest.fixture
def access(sqlite: Database, clock: ManualClock, events: EventLog) -> Access:
    return Access(SqlAccessStore(sqlite), events, clock, sqlite)


@pytest.fixture
def approvals(sqlite: Database, clock: ManualClock, events: EventLog, access: Access) -> Approvals:
    access.create_identity("user:approver", "approver", actor=OWNER)
    access.create_identity("user:engineer", "engineer", actor=OWNER)
    access.create_identity("service:loop", "service", actor=OWNER)
    return Approvals(SqlApprovalStore(sqlite), events, clock, sqlite, identities=SqlAccessStore(sqlite))
