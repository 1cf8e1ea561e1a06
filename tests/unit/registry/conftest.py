"""A real registry, with model files in memory; on SQLite unless a module says otherwise."""

from __future__ import annotations

import pytest

from flyball.artifacts import Artifacts
from flyball.artifacts.memory import MemoryBlobStore
from flyball.artifacts.sql import SqlNameStore
from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.events import EventLog
from flyball.kernel.events.sql import SqlEventStore
from flyball.registry import Gatekeeper, Registry
from flyball.registry.gates.beats_champion import BeatsChampion
from flyball.registry.gates.catalogue import GivenGates
from flyball.registry.gates.environment_locked import EnvironmentLocked
from flyball.registry.gates.no_corrupted_window import NoCorruptedWindow
from flyball.registry.gates.signature_present import SignaturePresent
from flyball.registry.sources import digest_in
from flyball.registry.sql import SqlDecisionStore, open_stores

GATES = (SignaturePresent, EnvironmentLocked, BeatsChampion, NoCorruptedWindow)
MODEL_ID = "m-" + "1" * 32
RUN_ID = "2" * 32
SOURCE = f"mlflow-artifacts:/1/models/{MODEL_ID}/artifacts"


@pytest.fixture
def room_database(sqlite: Database) -> Database:
    return sqlite


@pytest.fixture
def artifacts(room_database: Database) -> Artifacts:
    made = Artifacts(MemoryBlobStore(), SqlNameStore(room_database), room_database)
    made.put(f"model/{MODEL_ID}", "MLmodel", [b"flavors: {}\n"])
    made.put(f"model/{MODEL_ID}", "model.skops", [b"weights"])
    return made


@pytest.fixture
def events(room_database: Database, clock: ManualClock) -> EventLog:
    return EventLog(SqlEventStore(room_database), clock)


@pytest.fixture
def registry(room_database: Database, artifacts: Artifacts, events: EventLog, clock: ManualClock) -> Registry:
    stores = open_stores(room_database)
    return Registry(stores, digest_of=digest_in(artifacts), events=events, clock=clock, database=room_database)


@pytest.fixture
def catalogue() -> GivenGates:
    return GivenGates({gate.name: gate for gate in GATES})


@pytest.fixture
def gatekeeper(
    room_database: Database,
    registry: Registry,
    artifacts: Artifacts,
    events: EventLog,
    clock: ManualClock,
    catalogue: GivenGates,
) -> Gatekeeper:
    return Gatekeeper(
        SqlDecisionStore(room_database),
        registry=registry,
        artifacts=artifacts,
        events=events,
        clock=clock,
        database=room_database,
        catalogue=catalogue,
    )


@pytest.fixture
def source() -> str:
    return SOURCE


@pytest.fixture
def elec(registry: Registry, source: str) -> Registry:
    """A registered model with two versions."""
    registry.create_model("elec", actor="user:owner")
    for _ in range(2):
        registry.create_version("elec", source=source, run_id=RUN_ID, model_id=MODEL_ID, actor="user:owner")
    return registry
