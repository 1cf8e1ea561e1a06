"""Join the room's verbs to their stores on a database."""

from __future__ import annotations

from flyball.artifacts.service import Artifacts
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.events import EventLog
from flyball.monitoring.evaluation import Stores
from flyball.monitoring.log import PredictionLog
from flyball.monitoring.references import EvidenceReader, References
from flyball.monitoring.service import Monitors
from flyball.monitoring.sql import (
    SqlAlertStore,
    SqlLabelStore,
    SqlMonitorStore,
    SqlPredictionStore,
    SqlReportStore,
)


def open_prediction_log(database: Database, *, artifacts: Artifacts, events: EventLog, clock: Clock) -> PredictionLog:
    """Open the prediction log of a platform."""
    return PredictionLog(
        SqlPredictionStore(database),
        SqlLabelStore(database),
        artifacts=artifacts,
        events=events,
        clock=clock,
        database=database,
    )


def open_monitors(
    database: Database,
    *,
    log: PredictionLog,
    artifacts: Artifacts,
    evidence: EvidenceReader,
    events: EventLog,
    clock: Clock,
) -> Monitors:
    """Open the monitors of a platform; `evidence` tells what a model version carries, as the registry does."""
    stores = Stores(
        monitors=SqlMonitorStore(database), reports=SqlReportStore(database), alerts=SqlAlertStore(database)
    )
    return Monitors(
        stores, log, references=References(evidence, artifacts), events=events, clock=clock, database=database
    )
