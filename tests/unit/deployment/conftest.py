"""The verbs of deployment on a real database."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from flyball.deployment.entities import StopRule
from flyball.deployment.service import Deployments
from flyball.deployment.sql import SqlDeploymentStore
from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.events import EventLog
from flyball.kernel.events.sql import SqlEventStore

RULE = StopRule(metric="accuracy", alpha=0.05, margin=0.02, min_rows=100, max_rows=1_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    deployments: Deployments
    store: SqlDeploymentStore
    events: EventLog
    clock: ManualClock
    rule: StopRule


@pytest.fixture
def room(sqlite: Database, clock: ManualClock) -> Room:
    events, store = EventLog(SqlEventStore(sqlite), clock), SqlDeploymentStore(sqlite)
    deployments = Deployments(store, events, clock, sqlite)
    return Room(deployments=deployments, store=store, events=events, clock=clock, rule=RULE)
