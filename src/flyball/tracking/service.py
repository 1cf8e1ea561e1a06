"""Tracking as the other rooms and the server use it: one group of verbs for each aggregate."""

from __future__ import annotations

from dataclasses import dataclass

from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.events import EventLog
from flyball.tracking.evaluation import EvaluationDatasets
from flyball.tracking.experiments import Experiments
from flyball.tracking.metric_series import MetricSeries
from flyball.tracking.models import LoggedModels
from flyball.tracking.run_lineage import RunLineage
from flyball.tracking.run_log import RunLog
from flyball.tracking.runs import Runs
from flyball.tracking.shipping import Shipping

OPENING_ACTOR = "service:server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """The verbs of tracking. Share one per process; every method may be called from any thread."""

    experiments: Experiments
    runs: Runs
    log: RunLog
    lineage: RunLineage
    models: LoggedModels
    shipping: Shipping
    series: MetricSeries
    evaluation: EvaluationDatasets


def open_tracking(database: Database, *, events: EventLog, clock: Clock) -> Tracking:
    """Join the verbs to their stores on a database, and see to it that the experiment `Default` exists."""
    # SQLAlchemy costs the command line 0.4 s, so the stores are imported when they are opened.
    from flyball.tracking.evaluation.sql import SqlEvaluationRecordStore, SqlEvaluationStore
    from flyball.tracking.sql import open_stores
    from flyball.tracking.sql.journals import SqlJournalStore

    kept = open_stores(database)
    experiments, runs, data, models = kept.experiments, kept.runs, kept.data, kept.models
    log = RunLog(runs, data=data, metrics=kept.metrics, models=models, events=events, database=database)
    journals = SqlJournalStore(database)
    tracking = Tracking(
        experiments=Experiments(experiments, runs=runs, events=events, clock=clock, database=database),
        runs=Runs(runs, data=data, experiments=experiments, events=events, clock=clock, database=database),
        log=log,
        lineage=RunLineage(runs, data=data, models=models, datasets=kept.datasets, events=events, database=database),
        models=LoggedModels(models, runs=runs, experiments=experiments, events=events, clock=clock, database=database),
        shipping=Shipping(journals, log=log, events=events, clock=clock, database=database),
        series=MetricSeries(kept.metrics),
        evaluation=EvaluationDatasets(
            SqlEvaluationStore(database),
            records=SqlEvaluationRecordStore(database),
            experiments=experiments,
            events=events,
            clock=clock,
            database=database,
        ),
    )
    tracking.experiments.ensure_default(actor=OPENING_ACTOR)
    return tracking
