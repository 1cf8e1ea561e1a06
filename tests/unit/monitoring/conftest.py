"""A platform small enough for a test: a prediction log and monitors over a real database and real Parquet bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest

from flyball.artifacts.memory import MemoryBlobStore
from flyball.artifacts.service import Artifacts
from flyball.artifacts.sql import SqlNameStore
from flyball.datasets.profiling import profile_table
from flyball.kernel.canonical import Digest, JsonValue
from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.events import EventLog
from flyball.kernel.events.sql import SqlEventStore
from flyball.monitoring.entities import Label
from flyball.monitoring.evaluation import Stores
from flyball.monitoring.log import PredictionLog
from flyball.monitoring.references import References
from flyball.monitoring.service import Monitors
from flyball.monitoring.sql import (
    SqlAlertStore,
    SqlCalibrationStore,
    SqlLabelStore,
    SqlMonitorStore,
    SqlPredictionStore,
    SqlReportStore,
    SqlStretchStore,
)
from flyball.registry.entities import EvidenceKind

HOUR = 3_600_000
DAY = 24 * HOUR


def predictions(
    ids: Sequence[str],
    times: Sequence[int],
    answers: Sequence[object],
    *,
    features: Mapping[str, Sequence[object]] | None = None,
    version: int = 1,
    role: str = "champion",
) -> pa.Table:
    """Build a batch in the schema of captured predictions."""
    rows = len(ids)
    return pa.table(
        {
            "prediction_id": pa.array(ids, pa.string()),
            "request_id": pa.array(ids, pa.string()),
            "time_ms": pa.array(times, pa.int64()),
            "served_ms": pa.array(times, pa.int64()),
            "version": pa.array([version] * rows, pa.int32()),
            "version_digest": pa.array(["0" * 64] * rows, pa.string()),
            "role": pa.array([role] * rows, pa.string()),
            "latency_ms": pa.array([1.0] * rows, pa.float64()),
            "caller": pa.array(["user:tester"] * rows, pa.string()),
            **{f"feature.{name}": pa.array(values) for name, values in (features or {}).items()},
            "prediction": pa.array(answers),
            "score": pa.array([0.5] * rows, pa.float64()),
        }
    )


@dataclass
class Shelf:
    """Evidence by (model, version)."""

    kept: dict[tuple[str, int], dict[EvidenceKind, Digest]] = field(default_factory=dict)

    def evidence(self, name: str, version: int) -> Mapping[EvidenceKind, Digest]:
        return self.kept.get((name, version), {})


@dataclass
class World:
    """Everything a test of monitoring touches."""

    database: Database
    clock: ManualClock
    events: EventLog
    artifacts: Artifacts
    shelf: Shelf
    log: PredictionLog
    monitors: Monitors

    def describe(self, version: int, training: pa.Table, *, accuracy: float = 0.9) -> None:
        """Give a version of "model" a profile and a baseline."""
        baseline: JsonValue = {"metric": "accuracy", "value": accuracy, "lower": 0.88, "upper": 0.92, "rows": 1_000}
        self.shelf.kept["model", version] = {
            EvidenceKind.PROFILE: self.artifacts.put_json(profile_table(training).to_json()),
            EvidenceKind.BASELINE: self.artifacts.put_json(baseline),
        }

    def set_monitor(self, **changes: object) -> None:
        """Set the monitor "watch" over one-day windows of the endpoint "live"."""
        config: dict[str, object] = {
            "monitor": "watch",
            "endpoint": "live",
            "model": "model",
            "window": "1d",
            "label_maturity": "1d",
        }
        self.monitors.put(config | changes, actor="user:tester")

    def serve(
        self,
        day: int,
        *,
        rows: int = 240,
        wrong_share: float = 0.1,
        version: int = 1,
        role: str = "champion",
        features: Mapping[str, Sequence[object]] | None = None,
    ) -> list[Label]:
        """Answer `rows` requests evenly over a day, and return their labels, of which a share contradicts."""
        ids = [f"d{day}-{role}-v{version}-{row}" for row in range(rows)]
        times = [day * DAY + row * DAY // rows for row in range(rows)]
        generator = np.random.default_rng(day)
        columns = features or {"x": generator.normal(0, 1, rows).tolist()}
        self.log.accept("live", predictions(ids, times, [1] * rows, features=columns, version=version, role=role))
        wrong = generator.random(rows) < wrong_share
        return [
            Label(prediction_id=name, value=0 if missed else 1, time_ms=time_ms + HOUR)
            for name, time_ms, missed in zip(ids, times, wrong, strict=True)
        ]

    def label(self, labels: Sequence[Label], *, revise: bool = False) -> None:
        """Send labels."""
        self.log.add_labels("live", labels, revise=revise, actor="service:feed")

    def kinds(self) -> list[str]:
        """Return the kinds of all events, oldest first."""
        return [event.kind for event in self.events.all()]


def build_world(database: Database, clock: ManualClock) -> World:
    """Join the rooms over a database."""
    events = EventLog(SqlEventStore(database), clock)
    artifacts = Artifacts(MemoryBlobStore(), SqlNameStore(database), database)
    shelf = Shelf()
    log = PredictionLog(
        SqlPredictionStore(database),
        SqlLabelStore(database),
        artifacts=artifacts,
        events=events,
        clock=clock,
        database=database,
    )
    stores = Stores(
        monitors=SqlMonitorStore(database),
        reports=SqlReportStore(database),
        alerts=SqlAlertStore(database),
        stretches=SqlStretchStore(database),
        calibrations=SqlCalibrationStore(database),
    )
    references = References(shelf.evidence, artifacts)
    monitors = Monitors(stores, log, references=references, events=events, clock=clock, database=database)
    return World(database, clock, events, artifacts, shelf, log, monitors)


@pytest.fixture
def world(sqlite: Database, clock: ManualClock) -> World:
    """Return the rooms over SQLite."""
    return build_world(sqlite, clock)


@pytest.fixture
def everywhere(database: Database, clock: ManualClock) -> World:
    """Return the rooms over each kind of database."""
    return build_world(database, clock)


@pytest.fixture
def batch() -> Callable[..., pa.Table]:
    """Return the builder of batches."""
    return predictions
