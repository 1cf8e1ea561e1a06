"""The rooms of monitoring, joined over a database: the prediction log, who merges it, what was lost of it, and the monitors."""

from __future__ import annotations

from flyball.artifacts import Artifacts
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.events import EventLog
from flyball.monitoring.alerts.ports import Announcer
from flyball.monitoring.compaction import Compaction
from flyball.monitoring.evaluation import Stores
from flyball.monitoring.log import PredictionLog
from flyball.monitoring.losses import Losses
from flyball.monitoring.references import References
from flyball.monitoring.service import InputsReader, Monitors
from flyball.monitoring.sql import (
    SqlAlertStore,
    SqlCalibrationStore,
    SqlLabelStore,
    SqlLossStore,
    SqlMonitorStore,
    SqlPredictionStore,
    SqlReportStore,
    SqlSegmentStore,
    SqlStretchStore,
)


def open_predictions(database: Database, *, artifacts: Artifacts, events: EventLog, clock: Clock) -> PredictionLog:
    """Open the prediction log."""
    rows, labels = SqlPredictionStore(database), SqlLabelStore(database)
    return PredictionLog(rows, labels, artifacts=artifacts, events=events, clock=clock, database=database)


def open_compaction(database: Database, *, artifacts: Artifacts, events: EventLog, clock: Clock) -> Compaction:
    """Open what merges its small segments."""
    segments = SqlSegmentStore(database)
    return Compaction(segments, artifacts=artifacts, events=events, clock=clock, database=database)


def open_losses(database: Database, *, announcer: Announcer, events: EventLog, clock: Clock) -> Losses:
    """Open the count of what is not in it."""
    alerts, counts = SqlAlertStore(database), SqlLossStore(database)
    return Losses(alerts, counts, events=events, clock=clock, database=database, announcer=announcer)


def open_monitors(
    database: Database,
    log: PredictionLog,
    *,
    references: References,
    announcer: Announcer,
    events: EventLog,
    clock: Clock,
    inputs: InputsReader,
) -> Monitors:
    """Open the monitors over it."""
    stores = Stores(
        monitors=SqlMonitorStore(database),
        reports=SqlReportStore(database),
        alerts=SqlAlertStore(database),
        stretches=SqlStretchStore(database),
        calibrations=SqlCalibrationStore(database),
        announcer=announcer,
    )
    return Monitors(stores, log, references=references, events=events, clock=clock, database=database, inputs=inputs)
